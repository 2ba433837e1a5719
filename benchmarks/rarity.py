"""Is a score as rare as is said? Stated rarity of many training runs, against fresh normal video of the camera.

    python benchmarks/rarity.py [CACHE] [SEEDS]     # by default runs/rarity, 20

As `benchmarks/promise.py`, with the light `mil` on the 96 videos of the simulated camera that other benchmarks have:
each seed draws 24 normal and 24 abnormal training videos and fits a detector and five folds as `wsvad train` does. A
scale of rarity is made of what the folds say of the normal videos that they left out. At scores to which the scale
gives 0, 1, 2, 4 … events, the events of the detector are counted in the normal videos that were not drawn. What is
finished lies in CACHE; run it again to resume. Writes `results/rarity.md` and `results/rarity.csv`.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from promise import FOLDS, Run, alarms, drawn, scores_of

from wsvad.datasets.bags import load_bags
from wsvad.datasets.open import open_dataset
from wsvad.detection.rarity import RarityScale, scale_of
from wsvad.files import write_text
from wsvad.metrics.events import EventRules
from wsvad.studies.bench import toy_folder

METHOD = "mil, 128 wide"
DRAWN = 24
"""Training videos of each label; the other normal ones are fresh."""
COUNTS = (0, 1, 2, 4, 8, 16, 32)
"""Events that a score is said to have in the normal training video."""
HEAD = """# Is a score as rare as is said?

`python benchmarks/rarity.py` makes it: {seeds} seeds of `mil` (128 wide) on the simulated camera, {drawn} normal and
{drawn} abnormal training videos of 10 to 18 s each; five folds scored {hours:.0f} min of normal training video, and
the detector {fresh:.0f} min of fresh normal video of the same camera. `mil` scores each snippet by itself, so that both
modes are the same.

A row is a level of rarity: of each seed the lowest score that its scale says so many events of. *Stated* is what is
said of it (events an hour in the normal training video), *fresh* what the detector has there in fresh normal video, the
mean over seeds. *Within* counts the seeds whose fresh rate lies in the stated 95 % interval, *above* those above it: a
score that is less rare than was said. A fresh rate is itself of few events, so that 95 % of seeds within is not to be
expected where the fresh hours are few. Seeds draw from one pool, so they are not independent to the last. Nothing was
tuned.

"""


def levels_of(scale: RarityScale) -> list[float]:
    """For each count, the lowest score to which the scale gives so many events, or the next smaller number that it has;
    above the median score of normal video."""
    events = np.append(scale.events, 0)
    places = {int(np.flatnonzero(events <= count)[0]) for count in COUNTS}
    return [float(np.nextafter(scale.scores[place - 1], 2)) for place in sorted(places) if place]


def rows_of(seed: int, run: Run, rules: EventRules) -> Iterable[dict[str, Any]]:
    """A row for each count of events that the scale of a seed has."""
    scale = scale_of(run.left_out(FOLDS, "whole"), rules)
    assert scale is not None
    for level in levels_of(scale):
        rarity = scale.of(level)
        found, hours = alarms(run.of("all", "whole"), level, rules)
        stated, low, high = rarity.per_hour
        yield {
            "seed": seed, "events": rarity.events, "hours": scale.hours, "score": level, "stated": stated, "low": low,
            "high": high, "fresh_events": found, "fresh_hours": hours, "fresh": found / hours,
        }  # fmt: skip


def bucket(events: int) -> int:
    """The count that a row is of."""
    return max(count for count in COUNTS if count <= events)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, a row a count."""
    lines = [
        "| events stated | seeds | stated/h | 95 % interval | fresh/h | within | above | below |",
        "| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for count in sorted({bucket(row["events"]) for row in rows}):
        some = [row for row in rows if bucket(row["events"]) == count]
        above, below = (sum(row["fresh"] > row["high"] for row in some), sum(row["fresh"] < row["low"] for row in some))
        stated, low, high, fresh = (np.mean([row[name] for row in some]) for name in ("stated", "low", "high", "fresh"))
        most = max(row["events"] for row in some)
        said = str(count) if most == count else f"{count} to {most}"
        lines.append(
            f"| {said} | {len(some)} | {stated:.1f} | {low:.1f} to {high:.1f} | {fresh:.1f} | "
            f"{len(some) - above - below} | {above} | {below} |"
        )
    return "\n".join(lines)


def write_results(rows: Sequence[dict[str, Any]]) -> None:
    out = Path(__file__).parent / "results"
    with (out / "rarity.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    hours, fresh = (60 * float(np.mean([row[name] for row in rows])) for name in ("hours", "fresh_hours"))
    head = HEAD.format(seeds=len({row["seed"] for row in rows}), drawn=DRAWN, hours=hours, fresh=fresh)
    within = sum(row["low"] <= row["fresh"] <= row["high"] for row in rows)
    above = sum(row["fresh"] > row["high"] for row in rows)
    total = f"\n\nOf all {len(rows)} levels {within} are within their interval, {above} above it.\n"
    write_text(out / "rarity.md", f"{head}{table(rows)}{total}")


def main(cache: Path = Path("runs/rarity"), seeds: int = 20) -> None:
    torch.set_num_threads(1)
    folder = toy_folder()
    videos, rules = [replace(video, split="test") for video in open_dataset(folder).videos], EventRules()
    features = folder / "features"
    bags = {bag.video: bag for bag in load_bags(videos, features, ("rgb",))}
    rows: list[dict[str, Any]] = []
    for seed in range(seeds):
        data = drawn(videos, seed, DRAWN)
        curves = scores_of(cache, METHOD, seed, data, features, bags)
        rows += rows_of(seed, Run(curves=curves, data=data), rules)
        write_results(rows)


if __name__ == "__main__":
    main(*(kind(argument) for kind, argument in zip((Path, int), sys.argv[1:], strict=False)))
