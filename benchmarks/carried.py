"""RefineVAD carried from one place to another; written to `results/`.

python benchmarks/carried.py [streets|footage …]      by default both

Features `motion`, the `data` budget, three seeds, last iteration. `streets`: from one simulated camera to another.
`footage`: ucsd-ped2 to cctv-fights and back, which lie beside the project. A killed run goes on.
"""

import shutil
import sys
from pathlib import Path

from command import wsvad

HERE = Path(__file__).parent
FOOTAGE = HERE.parent.parent / "shared" / "data"


def streets(out: Path) -> None:
    for name, videos, seed in (("street", "96", "0"), ("square", "120", "1")):
        wsvad("toy", str(out / name), "--videos", videos, "--seed", seed)
    carry({name: out / name for name in ("street", "square")}, out)


def footage(out: Path) -> None:
    places = {name: FOOTAGE / name for name in ("ucsd-ped2", "cctv-fights")}
    carry(places, out)
    carry(dict(reversed(places.items())), out)


def carry(places: dict[str, Path], out: Path) -> None:
    """A run of the first place, measured at the second."""
    for name, folder in places.items():
        wsvad("extract", str(folder), "--rgb", "motion", "--out", str(out / "features" / name))
    (home, folder), (there, other) = places.items()
    run, both = out / f"run-{home}", f"{home}-{there}"
    wsvad(
        "fit", str(folder), "--features", str(out / "features" / home), "--method", "refinevad", "--budget", "data",
        "--normalise", "standardise", "--hold-out", "0", "--points", "1", "--seeds", "3",
        "--out", str(run),
    )  # fmt: skip
    wsvad(
        "transfer", str(run), "--to", str(other), "--to-features", str(out / "features" / there), "--seeds", "3",
        "--points", "1", "--out", str(out / both),
    )  # fmt: skip
    keep(out / both / "transfer.md", f"refinevad-{both}.md")
    keep(out / both / "transfer.csv", f"refinevad-{both}.csv")


def keep(file: Path, name: str) -> None:
    shutil.copy(file, HERE / "results" / name)


if __name__ == "__main__":
    for part in sys.argv[1:] or ("streets", "footage"):
        {"streets": streets, "footage": footage}[part](Path("runs/refinevad"))
