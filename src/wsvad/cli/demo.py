"""`wsvad demo`: the whole way on a simulated camera, step by step."""

import time
from pathlib import Path

from wsvad.cli.common import left_out
from wsvad.cli.output import say, show
from wsvad.cli.tables import selections_table
from wsvad.datasets.folder import open_folder
from wsvad.datasets.toy import make_toy
from wsvad.methods import METHODS
from wsvad.training.protocol import Protocol
from wsvad.training.train import train_detector

METHOD, ENCODER = "ur-dmu", "motion"


def run(out: Path, videos: int, seed: int) -> int:
    """Record, extract, train, evaluate, report; the story goes to stderr, the metrics to stdout."""
    started = time.monotonic()

    def tell(step: str, words: str) -> None:
        say("")
        say(f"{step}  {words}", "bold")

    tell("1 Record", f"A simulated camera films {videos} short videos; in half of them something abnormal happens.")
    folder = make_toy(out / "camera", videos=videos, seed=seed)
    dataset = open_folder(folder)
    tell(
        "2 Learn",
        f"{len(dataset.train)} videos are labelled normal or abnormal as a whole, without times. "
        f"The encoder '{ENCODER}' needs no weights; the method is '{METHOD}'.",
    )
    fitted, failed = train_detector(
        dataset,
        {"rgb": ENCODER},
        METHOD,
        METHODS[METHOD].config_class(),
        Protocol(budget="data", normalise="standardise", first_seed=seed),
        out / "run",
    )
    tell("3 Test", f"Measured frame by frame on {len(dataset.test)} videos that were not used in training:")
    show(selections_table(fitted.metrics, everything=False))
    for sentence in fitted.ending:
        say(sentence)
    tell(
        "4 Look",
        f"Open {out / 'run' / 'report.html'}: curves, events, pictures; click to jump to a moment of the video.",
    )
    score = next(video.path for video in dataset.test if video.label)
    tell("5 Use it", f"wsvad score {score} --model {out / 'run'}")
    auc = fitted.metrics["selection"]["last"]["auc"]["mean"]
    say("")
    say(f"frame AUC {auc:.3f} on test videos after {time.monotonic() - started:.0f} s")
    return left_out(failed)
