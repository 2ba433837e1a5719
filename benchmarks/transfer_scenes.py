"""What carries from one place to another, with features normalised over all training videos or per camera; to
`results/transfer-scenes.md`.

python benchmarks/transfer_scenes.py [OUT]      by default runs/foreign, whose footage and features it shares

`motion`, the `data` budget, the defaults of each method, three seeds, last iteration. A fit that is finished is a file
in OUT, and the page is written again after each, so that a run that was stopped resumes.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from foreign import REAL, SEGMENTS, SIMULATED, Place

from wsvad.datasets.bags import keep_bags, load_bags, pack
from wsvad.datasets.dataset import Bag
from wsvad.evaluation.measure import measure_scorer
from wsvad.evaluation.vocabulary import with_spread
from wsvad.files import read_json, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Kind
from wsvad.runs.scorer import Scorer
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol
from wsvad.training.selection import spread

HERE = Path(__file__).parent
METHOD_NAMES, SEEDS = ("mil", "ur-dmu"), 3
NAMES = (*REAL, *SIMULATED)
MANY = "cctv-fights"
"""The set of many cameras."""
WAYS = ("standardise", "per camera, the video's own", "per camera, the place's")
METRICS = ("auc", "auc_abnormal")
Found = dict[str, dict[str, dict[str, float]]]
"""Where it was shown → way → metrics."""


@dataclass(frozen=True)
class Cell:
    home: str
    method: str
    seed: int

    def file(self, out: Path) -> Path:
        return out / "transfer" / f"{self.home}-{self.method}-{self.seed}.json"


def order() -> Iterator[Cell]:
    for seed, method, home in product(range(SEEDS), METHOD_NAMES, NAMES):
        yield Cell(home, method, seed)


def fit(cell: Cell, place: Place, normalise: Kind, out: Path) -> TrainedMethod:
    run = cell.file(out).with_suffix(f".{normalise}")
    experiment = Experiment(
        dataset=place.dataset, features=place.features, name=cell.method,
        config=replace(default_config(METHODS[cell.method].config_class, "data"), streams=("motion",)), out=run,
        protocol=Protocol(
            budget="data", normalise=normalise, hold_out=0, points=1, first_seed=cell.seed, device="cpu"
        ),
    )  # fmt: skip
    trained = experiment.run().trained
    shutil.rmtree(run)
    return trained


def measure(cell: Cell, places: dict[str, Place], bags: dict[str, list[Bag]], out: Path) -> Found:
    """Both ways of normalising, everywhere. Of one camera alone both learn from the same numbers: it is fitted once."""
    home = places[cell.home]
    plain = fit(cell, home, "standardise", out)
    if len(set(home.scenes.values())) > 1:
        own = fit(cell, home, "per-camera", out)
    else:
        own = replace(plain, normalisation=replace(plain.normalisation, kinds={"motion": "per-camera"}))
    found: Found = {}
    for name, place in places.items():
        packed = pack(place.dataset.train, place.features, ["motion"], SEGMENTS).streams
        at = replace(own, normalisation=own.normalisation.at(packed))
        each = [
            measure_scorer(Scorer.of(trained), place.dataset.test, bags[name]).metrics for trained in (plain, own, at)
        ]
        found[name] = {way: {m: one[m] for m in METRICS} for way, one in zip(WAYS, each, strict=True)}
    return found


HEAD = """# What carries from one place to another

`python benchmarks/transfer_scenes.py` makes it all: `motion`, the `data` budget, defaults, last iteration, test videos
of the place that is shown; percent, mean ± standard deviation over seeds, their number in brackets where it is not
three. Nothing was tuned.

- *standardise*: each dimension by its mean and deviation over all training videos, as `wsvad train` has it.
- *per camera* (`--normalise per-camera`): in training by those of the video's own camera (scenes as
  `wsvad.datasets.scenes` finds them). *The video's own*: in scoring by those of the video that is scored, as `score`
  does; *the place's*: by those of the training videos of the place that is shown, whose labels are not used.

ucsd-ped2, street and square have one camera each: there both kinds learn from the same numbers. cctv-fights has very
many, of which each video shows some and which videos share, so that its scenes join to one: each video counts as a
camera of its own.
"""

FINDINGS = """
Where each video is a camera (cctv-fights), what makes it abnormal is taken out with the scene: `mil` falls by 15 to 24
points on its own test videos, `ur-dmu` by 8 to 9. A camera needs many videos, normal and abnormal ones, before its
statistics may be taken out.

From one place to another it goes either way. With the other place's statistics `ur-dmu` gains four points in the mean
and up to 35, where it pointed the wrong way (street to ucsd-ped2, 19 to 53), and `mil` loses six, up to 47; each gains
in about half of the twelve rows. A detector of ucsd-ped2 with `mil`, which means little elsewhere as it is, gains 3 to
15 points by them.

Within abnormal videos the video's own statistics are better in 9 of the 12 rows of `mil` that were not learned from
cctv-fights and in 11 of those of `ur-dmu`, which gains eight points from place to place in the mean; over all videos
they are worse in most, as they take out the level of a whole video. So `standardise` stays the default.
"""


def write_page(out: Path) -> None:
    done = {cell: read_json(cell.file(out)) for cell in order() if cell.file(out).is_file()}
    parts = [HEAD]
    for metric, title in zip(METRICS, ("Frame AUC", "AUC within abnormal videos"), strict=True):
        parts.append(f"\n## {title}\n\n| method | learned from | shown | {' | '.join(WAYS)} |\n|{'---|' * 6}\n")
        for method, home, there in product(METHOD_NAMES, NAMES, NAMES):
            some = [found[there] for cell, found in done.items() if (cell.method, cell.home) == (method, home)]
            if not some:
                continue
            cells = [in_words([found[way][metric] for found in some]) for way in WAYS]
            shown = "itself" if home == there else there
            parts.append(f"| {method} | {home} | {shown} | {' | '.join(cells)} |\n")
    parts += [summary(list(done.items())), FINDINGS]
    write_text(HERE / "results" / "transfer-scenes.md", "".join(parts))


def summary(done: list[tuple[Cell, Found]]) -> str:
    """Means over all rows in which the place is another, or the same."""
    lines = [f"\n## Means of frame AUC\n\n| method | shown | {' | '.join(WAYS)} |\n|{'---|' * 5}\n"]
    for method, other in product(METHOD_NAMES, (True, False)):
        some = [
            found[there] for cell, found in done if cell.method == method
            for there in NAMES if (there != cell.home) is other
        ]  # fmt: skip
        if not some:
            continue
        means = [sum(found[way]["auc"] for found in some) / len(some) for way in WAYS]
        words = " | ".join(f"{100 * mean:.1f}" for mean in means)
        lines.append(f"| {method} | {'another place' if other else 'itself'} | {words} |\n")
    return "".join(lines)


def in_words(values: list[float]) -> str:
    return with_spread(spread(values)) + ("" if len(values) == SEEDS else f" ({len(values)})")


def main(out: Path = Path("runs/foreign")) -> None:
    places = {name: Place(name, "motion", out) for name in NAMES}
    many = places[MANY].dataset
    places[MANY].dataset = replace(many, videos=tuple(replace(video, camera=video.name) for video in many.videos))
    bags = {
        name: keep_bags(load_bags(place.dataset.test, place.features, ["motion"])) for name, place in places.items()
    }
    for cell in order():
        if not cell.file(out).is_file():
            print(cell, file=sys.stderr, flush=True)
            write_json(cell.file(out), measure(cell, places, bags, out))
            write_page(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
