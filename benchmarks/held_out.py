"""Settings that RefineVAD's paper leaves open, compared on training videos that are held out; printed as it goes.

python benchmarks/held_out.py [captions|camera …]      by default both

Of training videos only a label is known, so there are five measures. `video` is their video AUC. `frames` is the AUC
of snippets by their video's label, normal ones weighed by the frames that they stand for, as the frame AUC of a test
set weighs them: there a few long normal videos count for much. `joined` asks for *when*: part of a normal video is
joined to an abnormal one, before or after, and a method that knows when something happens scores the abnormal part
higher. Of the captions, which tell little of single events, half of each is joined, and the measure is the AUC of
snippets by their half; on the simulated camera the abnormal video is whole, and the measure is how often the highest
snippet lies in it. For a method that names categories, `alone` is how often the highest snippet of an abnormal video is
named right, and `apart` the same where two such videos of different categories are joined.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.datasets.bags import load_bags
from wsvad.datasets.dataset import Bag, Dataset
from wsvad.datasets.division import hold_out
from wsvad.methods.refinevad import GAIN, RefineVadConfig
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.metrics.frame import roc_auc
from wsvad.runs.scorer import CLASSES, Scorer
from wsvad.studies.bench import open_data
from wsvad.training.experiment import Experiment
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol

SHARED = Path(__file__).parent.parent.parent / "shared" / "data" / "ucf-crime-captions"
BOTH = ("rgb", "text")
SEGMENT = partial(RefineVadConfig, attention="segment")
SETTINGS: dict[str, dict[str, tuple[str, Any, int | None]]] = {
    "captions": {
        "UR-DMU": ("ur-dmu", UrDmuConfig(), 50),
        "UR-DMU, k = T/4": ("ur-dmu", UrDmuConfig(top_every=4), 50),
        "UR-DMU, lr 3e-4": ("ur-dmu", UrDmuConfig(lr=3e-4), 50),
        "pooled query": ("refinevad", RefineVadConfig(), 60),
        "segment query": ("refinevad", SEGMENT(), 100),
        "segment query, dropout 0.5": ("refinevad", SEGMENT(dropout=0.5), 100),
        "the same, begun by chance": ("refinevad", SEGMENT(dropout=0.5), 100),
        "the same, lr 3e-4": ("refinevad", SEGMENT(dropout=0.5, lr=3e-4), 75),
        "the same, lr 3e-4, k = T/4": ("refinevad", SEGMENT(dropout=0.5, lr=3e-4, top_every=4), 75),
        "the same, lr 3e-4, k = T/4, one name a video": (
            "refinevad", SEGMENT(dropout=0.5, lr=3e-4, top_every=4, within=0.0), 75,
        ),
        "the same, lr 3e-4, k = T/4, no CORE": (
            "refinevad", SEGMENT(dropout=0.5, lr=3e-4, top_every=4, core="off"), 75,
        ),
    },
    "camera": {
        f"{core}{begun}": ("refinevad", RefineVadConfig(streams=BOTH, **fields), None)
        for core, fields in {
            "segment query": {"attention": "segment"}, "pooled query": {}, "no CORE": {"core": "off"},
        }.items()
        for begun in ("", ", begun by chance")
    } | {
        f"{' + '.join(given)}, within {within:g}": ("refinevad", SEGMENT(streams=given, within=within), None)
        for given in (("rgb",), BOTH)
        for within in (0.0, 2.0, 4.0)
    },
}  # fmt: skip
"""Method, configuration, iterations (None: the budget of a small set). `begun by chance`: the score head starts as any
layer of torch does, instead of at zero."""


def main(name: str, out: Path = Path("runs/held-out"), seeds: int = 4) -> None:
    captions = name == "captions"
    streams = {"rgb": f"lsa:{SHARED.resolve()}/captions.jsonl" if captions else "motion"}
    data = f"ucf-crime:{SHARED}" if captions else "toy"
    dataset, features, _ = open_data(data, streams, None, out / name)
    for label, (method, config, iterations) in SETTINGS[name].items():
        protocol = Protocol(segments=16, bags=32, normalise="none", iterations=iterations)
        if not captions:
            protocol = Protocol(budget="data", normalise="standardise")
        experiment = Experiment(
            dataset=dataset, features=features, name=method, config=config, protocol=protocol, out=out
        )
        chance = "begun by chance" in label
        found = [held_out(experiment, dataset, seed, halves=captions, chance=chance) for seed in range(seeds)]
        means, stds = 100 * np.mean(found, 0), 100 * np.std(found, 0, ddof=1)
        told = "   ".join(
            f"{measure} {mean:.1f} ± {std:.1f}"
            for measure, mean, std in zip(("video", "frames", "joined", "alone", "apart"), means, stds, strict=True)
            if not np.isnan(mean)
        )
        print(f"{name}, {label}: {told}", flush=True)


def held_out(experiment: Experiment, dataset: Dataset, seed: int, *, halves: bool, chance: bool) -> tuple[float, ...]:
    """The measures of a fit that never saw a fifth of the training videos (three tenths of a small set)."""
    out = set(hold_out(dataset.train, 0.2 if halves else 0.3, seed)[1])
    videos = [video for video in dataset.train if video.name in out]
    fitting = experiment.fitting
    bags = list(load_bags(videos, fitting.source, fitting.streams, fitting.check))
    method = fitting.build(seed)
    if chance:
        method.head[-1].reset_parameters()
        for weight in method.head[-1].parameters():
            weight.data /= GAIN
    phases = fitting.phases(method)
    run_phases(method, phases, fitting.packed, fitting.normalisation, seed=seed, without=out, points=1)
    scorer = Scorer(method, fitting.normalisation)
    curves = scorer.scores(bags)
    peaks, labels = np.array([scores.max() for scores in curves]), np.array([bag.label for bag in bags])
    weights = [
        np.full(len(scores), (1 if video.label else video.frames) / len(scores))
        for scores, video in zip(curves, videos, strict=True)
    ]
    weight, of_all = np.concatenate(weights), np.repeat(labels, [len(scores) for scores in curves])
    frames = roc_auc(np.concatenate(curves), weight * of_all, weight * (1 - of_all))
    pairs, abnormal = joined(bags, halves)
    scores = scorer.scores(pairs)
    when = float(np.mean([part[score.argmax()] for score, part in zip(scores, abnormal, strict=True)]))
    if halves:
        of_all = np.concatenate(abnormal).astype(int)
        when = roc_auc(np.concatenate(scores), of_all, 1 - of_all)
    return roc_auc(peaks, labels, 1 - labels), frames, when, *named(scorer, bags)


def named(scorer: Scorer, bags: Sequence[Bag]) -> tuple[float, float]:
    """How often the highest snippet of an abnormal video has its name, alone and beside another; NaN without names."""
    if len(scorer.categories) < 2:
        return float("nan"), float("nan")

    def right(scores: np.ndarray, bag: Bag) -> bool:
        return scorer.categories[scores[scores.sum(1).argmax()].argmax()] == bag.category

    def class_scores(some: Sequence[Bag]) -> list[np.ndarray]:
        return [one.class_scores for one in scorer(some, CLASSES) if one.class_scores is not None]

    abnormal, rng = [bag for bag in bags if bag.label], np.random.default_rng(0)
    pairs = [
        (bag, abnormal[other]) for bag in abnormal for other in rng.permutation(len(abnormal))[:4]
        if abnormal[other].category != bag.category
    ]  # fmt: skip
    both = [
        replace(a, streams={name: torch.cat([x, b.streams[name]]) for name, x in a.streams.items()}) for a, b in pairs
    ]
    alone = [right(*pair) for pair in zip(class_scores(abnormal), abnormal, strict=True)]
    apart = [
        right(part, bag)
        for pair, scores in zip(pairs, class_scores(both), strict=True)
        for part, bag in zip(np.split(scores, [pair[0].snippets]), pair, strict=True)
    ]
    return float(np.mean(alone)), float(np.mean(apart))


def joined(bags: Sequence[Bag], halves: bool) -> tuple[list[Bag], list[np.ndarray]]:
    """Each abnormal video, or its half, with half of a normal one before or after it; and which snippets are its."""
    rng = np.random.default_rng(0)
    normal, abnormal = ([bag for bag in bags if bag.label == label] for label in (0, 1))
    pairs, parts = [], []
    for number, bag in enumerate(abnormal):
        others = [normal[number % len(normal)]] if halves else normal
        for other in others:
            first = bool(rng.integers(2))
            length, rest = (len(b.streams["rgb"]) // 2 for b in (bag, other))
            length = length if halves else len(bag.streams["rgb"])
            cut = {
                name: torch.cat([x[:length], other.streams[name][-rest:]][:: 1 if first else -1])
                for name, x in bag.streams.items()
            }
            pairs.append(replace(bag, streams=cut))
            parts.append(np.repeat([first, not first], (length, rest) if first else (rest, length)))
    return pairs, parts


if __name__ == "__main__":
    for name in sys.argv[1:] or SETTINGS:
        main(name)
