"""Are promised false alarms kept? Thresholds of many training runs, against hours of fresh normal video of the camera.

    python benchmarks/promise.py [CACHE] [SEEDS]     # by default runs/promise, 20; an hour on one core

A pool of videos of one simulated camera is filmed once. Each seed draws its own training videos from it, fits a
detector as `wsvad train` does, finds thresholds in several ways, and counts the false alarms of the detector in all the
normal videos that were not drawn. What is finished lies in CACHE; run it again to resume. Writes `results/promise.md`
and `results/promise.csv`.

Both modes are measured: `whole`, a video at once, and `online`, the last W snippets alone, on a camera that has been
running (`score_running`). An abnormal video is shown to the running camera behind normal ones.

Shapes: T snippets of a video.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Bag, Dataset, LabelledVideo
from wsvad.datasets.division import folds
from wsvad.datasets.toy.backdrop import paint
from wsvad.datasets.toy.make import plan
from wsvad.datasets.toy.render import Renderer
from wsvad.datasets.toy.scene import scenes
from wsvad.datasets.toy.story import tell
from wsvad.detection.threshold import SPREAD, calibrate
from wsvad.extraction.extract import extract
from wsvad.files import read_json, write_json, write_text
from wsvad.methods import METHODS
from wsvad.metrics.events import EventRules, spans
from wsvad.metrics.interval import Interval
from wsvad.runs.online import score_online, score_running
from wsvad.runs.scorer import Scorer
from wsvad.training.experiment import Experiment
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol
from wsvad.video.writer import write_video

NORMAL, ABNORMAL = 480, 120
"""Videos of the pool, 10 to 18 s each."""
DRAWN = 40
"""Training videos of each label; the others are fresh."""
BUDGETS = (25, 50, 100, 200)
"""False alarms an hour; with 9 minutes of normal training video, fewer than 22 cannot be promised."""
FITS, OWN = 5, 6
"""Folds; and seeds for which *own weights* is tried, which needs a detector of its own."""
SETTINGS: dict[str, tuple[str, dict[str, Any], int]] = {
    "ur-dmu, 128 wide": ("ur-dmu", {"hidden": 128, "feed_forward": 128}, 23),
    "ur-dmu, 128 wide, W = 64": ("ur-dmu", {"hidden": 128, "feed_forward": 128}, 64),
    "mil, 128 wide": ("mil", {"hidden": (128, 32)}, 1),
}
"""Method, configuration, window W. A narrow network takes a fifth of the time. The videos have 13 to 23 snippets, and
`wsvad train` takes as W the longest, 64 at most. `mil` scores each snippet by itself, so that any window gives the
same."""

Curves = dict[str, np.ndarray]
"""Video → scores `(T,)`."""


# ------------------------------------------------------------------------------------------------- the camera


def pool(out: Path, seed: int = 0) -> list[LabelledVideo]:
    """Film the videos and extract their `motion` features, as far as that is not done."""
    table = out / "pool.json"
    if not table.is_file():
        scene = scenes(seed)[0]
        backdrop, rows = paint(scene), []
        plans = plan(2 * max(NORMAL, ABNORMAL), seed)
        wanted = [*islice((item for item in plans if item.category == "normal"), NORMAL)]
        wanted += islice((item for item in plans if item.category != "normal"), ABNORMAL)
        for item in wanted:
            name, dice = f"cam-{scene.name}-{item.index:04d}.mp4", np.random.SeedSequence([seed, 1, item.index])
            story = tell(scene, item.category, dice, night=item.night, busy=item.busy)
            if not (out / "videos" / name).is_file():
                (out / "videos").mkdir(parents=True, exist_ok=True)
                write_video(out / "videos" / name, Renderer(story, backdrop).frames(), scene.rate, crf=story.crf)
                print(f"filmed {name}", flush=True)
            rows.append(
                {
                    "name": name,
                    "label": int(item.category != "normal"),
                    "category": item.category,
                    "frames": story.frames,
                    "intervals": story.intervals,
                }
            )
        extract([(row["name"], out / "videos" / row["name"]) for row in rows], {"rgb": "motion"}, out / "features")
        write_json(table, rows)
    return [
        LabelledVideo(
            name=row["name"],
            label=row["label"],
            category=row["category"],
            split="test",
            frames=row["frames"],
            intervals=tuple(Interval(start=a, end=b, category=row["category"]) for a, b in row["intervals"]),
        )
        for row in sorted(read_json(table), key=lambda row: row["name"])
    ]


def drawn(videos: Sequence[LabelledVideo], seed: int, count: int = DRAWN) -> Dataset:
    """The pool, with the seed's training videos, so many of each label."""
    rng, chosen = np.random.default_rng([seed, 77]), set()
    for label in (0, 1):
        of_label = [video.name for video in videos if video.label == label]
        chosen |= {of_label[place] for place in rng.permutation(len(of_label))[:count]}
    split = tuple(replace(video, split="train") if video.name in chosen else video for video in videos)
    return Dataset(name="pool", videos=split)


# ------------------------------------------------------------------------------------------------- fits and scores


def scores_of(cache: Path, label: str, seed: int, data: Dataset, features: Path, bags: dict[str, Bag]) -> Curves:
    """What each fit of a seed says of the videos that the study asks it for, as `fit/mode/video`; kept in a file."""
    path = cache / "scores" / f"{label.replace(' = ', '').replace(', ', '-').replace(' ', '-')}-{seed:02d}.npz"
    if not path.is_file():
        found = fit_all(label, seed, data, features, bags)
        path.parent.mkdir(parents=True, exist_ok=True)
        lengths = [len(scores) for scores in found.values()]
        with path.with_suffix(".part").open("wb") as file:
            np.savez(file, key=list(found), length=lengths, scores=np.concatenate(list(found.values())))
        path.with_suffix(".part").replace(path)
        print(f"fitted {path.stem}", flush=True)
    with np.load(path) as stored:
        parts = np.split(stored["scores"], np.cumsum(stored["length"])[:-1])
        return dict(zip(map(str, stored["key"]), parts, strict=True))


def fit_all(label: str, seed: int, data: Dataset, features: Path, bags: dict[str, Bag]) -> Curves:
    """The fit on all training videos, one without each fold, and one without half of the normal videos."""
    name, config, window = SETTINGS[label]
    experiment = Experiment(
        dataset=data,
        features=features,
        name=name,
        config=METHODS[name].config_class(**config),
        protocol=Protocol(budget="data", normalise="standardise"),
        out=Path(),
    )
    normal = [video for video in data.train if not video.label]
    parts = {"all": []} | {f"fold-{k}": names for k, names in enumerate(folds(data.train, FITS, seed))}
    if seed < OWN:
        parts["half"] = folds(normal, 2, seed)[0]
    labels = {video.name: video.label for video in data.videos}
    fresh = [video.name for video in data.test]
    found: Curves = {}
    for fit, without in parts.items():
        fitting = experiment.fitting
        method = fitting.build(seed)
        phases = fitting.phases(method)
        run_phases(method, phases, fitting.packed, fitting.normalisation, seed=seed, without=set(without), points=1)
        method.eval()
        names = [name for name in without if not labels[name]] + (fresh if fit in ("all", "half") else [])
        each = all_modes(method, fitting.normalisation, [bags[name] for name in names], window)
        found |= {f"{fit}/{key}": scores for key, scores in each.items()}
    return found


def all_modes(method: Any, normalisation: Any, bags: Sequence[Bag], window: int) -> Curves:
    """Scores as `mode/video`: whole; online on a running camera; cold, online from the video's first snippet on."""

    def streams(bag: Bag) -> dict[str, torch.Tensor]:
        return normalisation(bag.streams)

    found = {f"whole/{b.video}": s for b, s in zip(bags, Scorer(method, normalisation).scores(bags), strict=True)}
    normal = [bag for bag in bags if not bag.label]
    running = score_running(method, [streams(bag) for bag in normal], window)
    found |= {f"online/{b.video}": s.numpy() for b, s in zip(normal, running, strict=True)}
    for place, bag in enumerate(bag for bag in bags if bag.label):
        before = [streams(normal[(8 * place + i) % len(normal)]) for i in range(8)]
        found[f"online/{bag.video}"] = score_running(method, [streams(bag)], window, before)[0].numpy()
    found |= {f"cold/{b.video}": score_online(method, streams(b), window).numpy() for b in normal[:DRAWN]}
    return found


# ------------------------------------------------------------------------------------------------- promises


@dataclass(frozen=True, kw_only=True)
class Run:
    """The curves of one seed, and what is known of the videos."""

    curves: Curves
    data: Dataset

    def of(self, fit: str, mode: str, label: int = 0, fresh: bool = True) -> list[tuple[LabelledVideo, np.ndarray]]:
        """What a fit says of fresh videos, or of those that it left out."""
        return [
            (video, self.curves[key])
            for video in (self.data.test if fresh else self.data.train)
            if video.label == label and (key := f"{fit}/{mode}/{video.name}") in self.curves
        ]

    def left_out(self, fits: Sequence[str], mode: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Scores and times of normal training videos, by the fits that left them out."""
        return [(s, times(video, s)) for fit in fits for video, s in self.of(fit, mode, fresh=False)]


FOLDS = [f"fold-{k}" for k in range(FITS)]
WAYS: dict[str, tuple[list[str], str | None, float, str]] = {
    "one other fit, whole": (FOLDS[:1], "whole", 0.0, "all"),
    "folds, Poisson": (FOLDS, None, 0.0, "all"),
    "**folds**": (FOLDS, None, SPREAD, "all"),
    "folds, whole": (FOLDS, "whole", SPREAD, "all"),
    "folds, cold": (FOLDS, "cold", SPREAD, "all"),
    "own weights, Poisson": (["half"], None, 0.0, "half"),
    "own weights": (["half"], None, SPREAD, "half"),
}
"""Fits that score held-out video, in which mode (None: the detector's); the spread; the fit that is the detector."""
HELD = """
A run draws 40 normal and 40 abnormal training videos of 10 to 18 s of one simulated camera and fits a detector as
`wsvad train` does; its false alarms are counted in the other 440 normal videos, 1.7 h. A promise, at 95 % confidence,
is *kept* if there are no more an hour than it says. `online` is a camera that has been running; `mil` scores each
snippet by itself, which is the same in both modes. The events found are those of the 80 other abnormal videos. Seeds
draw from one pool, so they are not independent to the last. The spread was chosen on the first six seeds. A budget that
the hours of a run cannot promise is left out, which is why some rows have fewer runs; *own weights*, which needs a
detector of its own, was tried on six seeds.

- *one other fit, whole*: the threshold comes from the eight normal videos that a second fit left out, scored as whole
  videos, by the Poisson bound, and serves both modes.
- *folds, Poisson*: five fits, each without a fifth of the training videos, score what they left out, in the detector's
  mode; the Poisson bound on the pooled events.
- ***folds***: the same with the bound for fits that differ and alarms that cluster, which is what `calibrate` does.
- *folds, whole*: a threshold from whole-video scores, used online.
- *folds, cold*: a threshold from online scores of single clips, whose windows are short, used on a running camera.
- *own weights*: the detector never learns from half of the normal videos, and scores them itself, which leaves half as
  much to calibrate on and half as much to learn from.
"""


def times(video: LabelledVideo, scores: np.ndarray) -> np.ndarray:
    """Seconds at which the snippets begin, and at which the last one ends: `(T + 1,)`."""
    return np.minimum(np.arange(len(scores) + 1) * 16, video.frames or 0) / 20


def promises(label: str, seed: int, run: Run, rules: EventRules) -> Iterable[dict[str, Any]]:
    """A row for each mode, way and budget that can be promised."""
    alike = SETTINGS[label][2] == 1
    for mode in ("whole",) if alike else ("whole", "online"):
        for way, (fits, scored, spread, detector) in WAYS.items():
            if (mode == "whole" and way in ("folds, whole", "folds, cold")) or (detector == "half" and seed >= OWN):
                continue
            held_out = run.left_out(fits, scored or mode)
            for budget in BUDGETS if held_out else ():
                calibration = calibrate(held_out, rules, budget, spread=spread)
                if not calibration.promised:
                    continue
                found, hours = alarms(run.of(detector, mode), calibration.threshold, rules)
                yield {
                    "method": label,
                    "mode": "both" if alike else mode,
                    "way": way,
                    "budget": budget,
                    "seed": seed,
                    "threshold": calibration.threshold,
                    "promise": calibration.upper_bound_per_hour,
                    "rate": found / hours,
                    "found": hits(run.of(detector, mode, label=1), calibration.threshold, rules),
                }


def alarms(normal: list[tuple[LabelledVideo, np.ndarray]], threshold: float, rules: EventRules) -> tuple[int, float]:
    """Events in normal videos, and the hours of these."""
    each = [(scores, times(video, scores)) for video, scores in normal]
    return sum(len(spans(s, t, threshold, rules)[0]) for s, t in each), sum(t[-1] for _, t in each) / 3600


def hits(abnormal: list[tuple[LabelledVideo, np.ndarray]], threshold: float, rules: EventRules) -> float:
    """Share of the true intervals that an event meets."""
    met = []
    for video, scores in abnormal:
        edges = times(video, scores) * 20
        events = [(edges[a], edges[b + 1]) for a, b in zip(*spans(scores, edges / 20, threshold, rules), strict=True)]
        met += [any(end > i.start and start < i.end for start, end in events) for i in video.intervals or ()]
    return float(np.mean(met))


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    """As the table has them."""
    return (
        list(SETTINGS).index(row["method"]),
        row["mode"] == "online",
        list(WAYS).index(row["way"]),
        row["budget"],
        row["seed"],
    )


def kept(rows: Sequence[dict[str, Any]]) -> str:
    """How many promises are kept."""
    return f"{sum(row['rate'] <= row['promise'] for row in rows)} of {len(rows)}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: over the seeds, how often a promise is kept and what it costs."""
    columns = "budget/h | kept | promised/h | false alarms/h | worst, of its promise | events found"
    lines = [
        f"| method | mode | threshold from | {columns} |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    names = ("method", "mode", "way", "budget")
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        group = [row for row in rows if tuple(row[name] for name in names) == key]
        promise, rate, found = (np.array([row[name] for row in group]) for name in ("promise", "rate", "found"))
        lines.append(
            f"| {' | '.join(map(str, key))} | {kept(group)} | {promise.mean():.0f} | "
            f"{rate.mean():.1f} | {np.max(rate / promise):.2f} | {found.mean():.0%} |"
        )
    return "\n".join(lines)


def write_results(rows: Sequence[dict[str, Any]]) -> None:
    """`promise.csv`, a row a promise, and `promise.md`, over the seeds."""
    out, rows = Path(__file__).parent / "results", sorted(rows, key=order)
    with (out / "promise.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    write_text(out / "promise.md", f"# Are promised false alarms kept?\n{HELD}\n{table(rows)}\n")


def main(cache: Path = Path("runs/promise"), seeds: int = 20) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    videos, rules = pool(cache), EventRules()
    bags = {bag.video: bag for bag in load_bags(videos, cache / "features", ("rgb",))}
    rows: list[dict[str, Any]] = []
    for label in SETTINGS:
        for seed in range(seeds):
            data = drawn(videos, seed)
            curves = scores_of(cache, label, seed, data, cache / "features", bags)
            rows += promises(label, seed, Run(curves=curves, data=data), rules)
        write_results(rows)


if __name__ == "__main__":
    main(*(kind(argument) for kind, argument in zip((Path, int), sys.argv[1:], strict=False)))
