"""RefineVAD beside UR-DMU on the simulated camera, and carried to other data; written to `results/`.

python benchmarks/refinevad.py [camera|streets|footage …]      by default all three

Features `motion`, the `data` budget, last iteration. `camera`: five seeds. `streets`: from one simulated camera to
another. `footage`: ucsd-ped2 to cctv-fights and back, which lie beside the project. A killed run goes on.
"""

import shutil
import sys
from pathlib import Path

from command import wsvad

HERE = Path(__file__).parent
FOOTAGE = HERE.parent.parent / "shared" / "data"
HONEST = ("--points", "1", "--hold-out", "0")
"""The last iteration alone."""


def camera(out: Path) -> None:
    wsvad(
        "bench", "--data", "toy", "--methods", "ur-dmu,refinevad", "--rgb", "motion", "--seeds", "5", *HONEST,
        "--out", str(out / "camera"),
    )  # fmt: skip
    keep(out / "camera" / "bench.md", "refinevad-camera.md")
    keep(out / "camera" / "bench.csv", "refinevad-camera.csv")


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
        "--normalise", "standardise", "--seeds", "3", *HONEST, "--out", str(run),
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
    for part in sys.argv[1:] or ("camera", "streets", "footage"):
        {"camera": camera, "streets": streets, "footage": footage}[part](Path("runs/refinevad"))
