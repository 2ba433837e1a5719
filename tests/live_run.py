"""A detector of something that moves, for tests of cameras: its online window has four snippets."""

from pathlib import Path

from clips import write_clip
from packets import pictures

from wsvad import train
from wsvad.methods.mil import MilConfig
from wsvad.training.protocol import Protocol

WINDOW = 4


def tiny_run(folder: Path) -> Path:
    """Train it; the run folder."""
    rows = ["video,label"]
    for number in range(4):
        images = pictures(64, (96, 64), seed=number)
        write_clip(folder / f"{number}.mp4", images if number % 2 else [images[0]] * 64)
        rows.append(f"{number}.mp4,{number % 2}")
    (folder / "labels.csv").write_text("\n".join(rows))
    quick = Protocol(iterations=20, points=2, segments=4, bags=2, normalise="standardise")
    small = MilConfig(hidden=(8, 4))
    train(folder, folder / "run", method="mil", config=small, protocol=quick, streams={"rgb": "motion"}, workers=0)
    return folder / "run"
