"""Encoders alone and beside `motion`, by four methods on two small sets of real footage; to `results/encoders.md`.

python benchmarks/encoders.py [OUT]      by default runs/encoders; the footage and the networks lie beside the project

Five seeds, the `data` budget, defaults but for π-VAD's profile: nothing is tuned. A fit that is finished is a file in
OUT, and the page is written again after each, so that a run that was stopped resumes; the fits that matter most come
first, and the most expensive features last. Features lie in OUT too, one folder a data set. `sides.py` has fits of
other pairs in the same place.
"""

import csv
import io
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.datasets.open import open_dataset
from wsvad.encoders.build import resolve
from wsvad.evaluation.vocabulary import with_spread
from wsvad.extraction.prepare import prepare
from wsvad.features.store import feature_path, load, save
from wsvad.files import read_json, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol
from wsvad.training.selection import spread

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
DATA = ("cctv-fights", "ucsd-ped2")
ENCODERS = {
    "motion": "motion",
    "people": f"pose:{SHARED}/models/movenet-multipose.onnx",
    "image": f"tflite:{SHARED}/models/efficientnet_lite3_embedding.tflite",
    "objects": f"objects:{SHARED}/models/centernet.onnx",
}
SHUFFLED = "shuffled people"
"""The control: each snippet of a training video has the poses of another. What π-VAD gains with them, it does not owe
to what they show."""
METRICS = ("auc", "auc_abnormal", "ap", "video_auc")
SEEDS = 5
ALONE = tuple((name,) for name in ENCODERS)
BESIDE = tuple(("motion", name) for name in ENCODERS if name != "motion")
Streams = tuple[str, ...]
"""What a method reads, the names of encoders. π-VAD scores with the first alone, and learns from the others too."""


@dataclass(frozen=True)
class Cell:
    """One fit: a method on streams of a data set, with one seed."""

    data: str
    method: str
    streams: Streams
    seed: int

    def file(self, out: Path) -> Path:
        return out / "cells" / self.data / f"{self.method}-{'+'.join(self.streams)}-{self.seed}.json"


def order() -> Iterator[Cell]:
    """All fits, what matters most first: π-VAD with several people against its teacher, and its control; then three
    seeds of each row, those with objects, whose features take longest, and those of π-VAD on another stream last; then
    the other two."""
    first = [("ur-dmu", ("motion",)), ("pi-vad", ("motion", "people"))]
    for seed, data in product(range(SEEDS), DATA):
        yield from (Cell(data, method, streams, seed) for method, streams in first)
    rows = [*product(("mil", "ur-dmu", "dakd"), (*ALONE, *BESIDE)), *(("pi-vad", streams) for streams in BESIDE)]
    objects = [row for row in rows if "objects" in row[1]]
    rest = [row for row in rows if row not in (*first, *objects)]
    others = [("pi-vad", streams) for streams in (*(streams[::-1] for streams in BESIDE), ("image", "people"))]
    control = [("pi-vad", ("motion", SHUFFLED))]
    three, two = range(3), range(3, SEEDS)
    groups = [(three, some) for some in (control, rest, objects, others)]
    for seeds, some in (*groups, (two, [*control, *rest, *objects, *others])):
        for seed, data, (method, streams) in product(seeds, DATA, some):
            yield Cell(data, method, streams, seed)


# ------------------------------------------------------------------------------------------------- one fit


def settings(method: str, others: Streams) -> Any:
    """The method's configuration under the `data` budget, with the other streams beside `rgb`."""
    changes: dict[str, Any] = {
        "mil": {"streams": ("rgb", *others)},
        "ur-dmu": {"streams": ("rgb", *others)},
        "dakd": {"backbones": ("rgb", *others), "student": "rgb"},
        "pi-vad": {"modalities": others, "profile": "light"},
    }[method]
    return replace(default_config(METHODS[method].config_class, "data"), **changes)


def fit(cell: Cell, out: Path) -> dict[str, float]:
    """Test metrics of a fit after its last iteration; read from its file, where it is finished."""
    file = cell.file(out)
    if file.is_file():
        return read_json(file)
    run = file.with_suffix("")
    teacher = replace(cell, method="ur-dmu", streams=cell.streams[:1])
    if cell.method == "pi-vad":
        fit(teacher, out)
    first, *others = cell.streams
    experiment = Experiment(
        dataset=open_dataset(str(SHARED / "data" / cell.data), split={}), features=view(out / cell.data, first),
        name=cell.method, config=settings(cell.method, tuple(others)), out=run, protocol=protocol(cell.seed),
        teacher=teacher.file(out).with_suffix("") if cell.method == "pi-vad" else None,
    )  # fmt: skip
    last = experiment.run().metrics["selection"]["last"]
    if (cell.method, others) != ("ur-dmu", []):  # those teach π-VAD
        shutil.rmtree(run)
    found = {name: last[name]["mean"] for name in METRICS}
    write_json(file, found)
    return found


def protocol(seed: int) -> Protocol:
    return Protocol(budget="data", normalise="standardise", hold_out=0, points=1, first_seed=seed, device="cpu")


@cache
def make(data: str, name: str, out: Path) -> None:
    """Extract a stream as far as it is missing."""
    dataset = open_dataset(str(SHARED / "data" / data), split={})
    real = "people" if name == SHUFFLED else name
    prepare(dataset, {real: resolve(ENCODERS[real])[0]}, out / data, workers=0, device="cpu")
    if name == SHUFFLED:
        shuffle(out / data, [video.name for video in dataset.train])


def shuffle(features: Path, names: Sequence[str]) -> None:
    """The control's features, of those of `people`."""
    each = [load(feature_path(features, "people", name)) for name in names]
    rows = np.random.default_rng(0).permutation(np.concatenate([one.features for one in each]))
    parts = np.split(rows, np.cumsum([len(one.features) for one in each])[:-1])
    for name, one, part in zip(names, each, parts, strict=True):
        save(feature_path(features, SHUFFLED, name), replace(one, features=part))


def view(features: Path, rgb: str) -> Path:
    """The folder of features again, with one stream under the name `rgb`, which π-VAD scores with."""
    folder = features / "views" / rgb
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*ENCODERS, SHUFFLED):
        link = folder / ("rgb" if name == rgb else name)
        if not link.is_symlink():
            link.symlink_to((features / name).resolve())
    return folder


# ------------------------------------------------------------------------------------------------- the page

Table = Mapping[tuple[str, str, Streams], Mapping[int, Mapping[str, float]]]
"""Data set, method, streams → seed → metrics."""
HEAD = """# Encoders alone and beside `motion`

Last iteration, percent, mean ± standard deviation over seeds; their number in brackets where it is not five.
`python benchmarks/encoders.py` makes it all: the `data` budget, standardised features, and the defaults of each method
but for π-VAD's profile, which is `light`. **Nothing was tuned, and no figure of the test videos chose anything.** AP
and video AUC of each seed are in [encoders.csv](encoders.csv).

`image` is EfficientNet-Lite3's embedding, `people` the poses of several people by MoveNet MultiPose, `objects` what
CenterNet finds. Of two streams `mil` and `ur-dmu` read both side by side; the student of `dakd` reads the first, its
teacher both. `pi-vad` scores with the first stream alone and sees the second in training only; in rows of one encoder
its second stream is `motion`. Its teacher is the `ur-dmu` of the same seed on the first stream.

All of it was measured by one version, by today's defaults: `motion` version 2, six snippets of `mil` stand for a bag on
small sets ([linear.md](linear.md)), encoders side by side are balanced ([sides.md](sides.md)). By an earlier one
(d96f8af: `motion` version 1, the highest snippet alone, unbalanced) `mil` had 73.5 ± 4.3 on `motion` of cctv-fights,
60.2 ± 3.7 on `image` and 58.7 ± 5.2 on both, where it has 77.4, 71.3 and 78.6 now; π-VAD with poses 73.04 ± 0.76 above
72.85 ± 1.02 of `ur-dmu`, and on ucsd-ped2 90.22 ± 0.15 above 89.45 ± 0.12: the same within the spread.
"""
CONTROL = """
`shuffled people` is the control: each snippet of a training video has the poses of another, so that nothing can be
learned from what they show. What is left of π-VAD's gain when that of the control is taken away, seed by seed:

"""
FINDINGS = """
π-VAD gains nearly as much with shuffled poses as with the true ones. So its gain over UR-DMU, which on ucsd-ped2 is
above the spread and on cctv-fights is not, is hardly owed to what the poses show; the second training under a teacher
and the larger network remain as causes.

Likely reasons. On cctv-fights MoveNet MultiPose finds 0.97 people a frame, with a mean score of 0.29, and nobody at all
in 24 % of the snippets, where a fight takes two. On ucsd-ped2 it finds 4.6 people a frame, 0.16 of the picture's height
in size, with a mean score of 0.21, and what is abnormal there (bicycles, carts, skaters) is in the picture more than in
a pose: there `ur-dmu` is best on `image`.
"""


def write_page(out: Path) -> None:
    """The page and the table of all seeds, of what is finished."""
    table: dict[tuple[str, str, Streams], dict[int, dict[str, float]]] = {}
    for cell in order():
        if cell.file(out).is_file():
            row = table.setdefault((cell.data, cell.method, cell.streams), {})
            row[cell.seed] = read_json(cell.file(out))
    parts = [HEAD]
    for data in DATA:
        parts += [f"\n## {data}, frame AUC\n\n", by_streams(table, data, "auc")]
        parts += [f"\n## {data}, AUC within abnormal videos\n\n", by_streams(table, data, "auc_abnormal")]
    parts += [
        "\n## π-VAD against UR-DMU on the same stream\n\n",
        gains(table),
        CONTROL,
        beyond_control(table),
        FINDINGS,
    ]
    write_text(HERE / "results" / "encoders.md", "".join(parts))
    write_text(HERE / "results" / "encoders.csv", as_csv(table))


def by_streams(table: Table, data: str, metric: str) -> str:
    """A row for the streams that a method scores with, a column for each method."""
    methods = ("mil", "ur-dmu", "dakd", "pi-vad")
    rows = [["streams", *methods], ["---"] * (1 + len(methods))]
    for streams in (*ALONE, *BESIDE):
        of_pi_vad = (*streams, "motion") if len(streams) == 1 else streams
        each = [table.get((data, m, of_pi_vad if m == "pi-vad" else streams), {}) for m in methods]
        rows.append([", ".join(streams), *(in_words([one[metric] for one in seeds.values()]) for seeds in each)])
    return markdown(rows)


def gains(table: Table) -> str:
    """By how much the student is above its teacher, seed by seed."""
    head = ["data", "scores with", "learns from", "AUC of ur-dmu", "of pi-vad", "difference"]
    rows = [[*head, "AUC_A of ur-dmu", "of pi-vad", "difference"], ["---"] * 9]
    for (data, method, streams), seeds in sorted(table.items()):
        if method != "pi-vad":
            continue
        teacher, cells = table[data, "ur-dmu", streams[:1]], []
        for metric in ("auc", "auc_abnormal"):
            pairs = [(teacher[seed][metric], one[metric]) for seed, one in seeds.items()]
            cells += [in_words([before for before, _ in pairs]), in_words([after for _, after in pairs])]
            cells += [signed([after - before for before, after in pairs])]
        rows.append([data, streams[0], f"+ {streams[1]}", *cells])
    return markdown(rows)


def beyond_control(table: Table) -> str:
    """By how much π-VAD with true poses is above π-VAD with shuffled ones, seed by seed."""
    rows = [["data", "AUC, true less shuffled", "AUC_A"], ["---"] * 3]
    for data in DATA:
        true, shuffled = (table.get((data, "pi-vad", ("motion", name)), {}) for name in ("people", SHUFFLED))
        seeds = sorted(true.keys() & shuffled.keys())
        each = ([true[seed][metric] - shuffled[seed][metric] for seed in seeds] for metric in ("auc", "auc_abnormal"))
        rows.append([data, *map(signed, each)])
    return markdown(rows)


def signed(values: Sequence[float]) -> str:
    return f"{'+' if sum(values) > 0 else ''}{in_words(values)}"


def in_words(values: Sequence[float]) -> str:
    if not values:
        return "–"
    return with_spread(spread(values)) + ("" if len(values) == SEEDS else f" ({len(values)})")


def markdown(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_csv(table: Table) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["data", "method", "streams", "seed", "metric", "value"])
    for (data, method, streams), seeds in table.items():
        for seed, metrics in sorted(seeds.items()):
            lines.writerows([data, method, "+".join(streams), seed, name, f"{metrics[name]:.6f}"] for name in METRICS)
    return text.getvalue()


def main(out: Path = Path("runs/encoders")) -> None:
    for cell in order():
        for name in cell.streams:
            make(cell.data, name, out)
        print(cell, file=sys.stderr, flush=True)
        fit(cell, out)
        write_page(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
