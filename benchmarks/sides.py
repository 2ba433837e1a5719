"""Two streams side by side against the better of them alone, with `mil` and `ur-dmu`; to `results/sides.md`.

python benchmarks/sides.py [OUT]     by default runs/encoders, where `benchmarks/encoders.py` keeps features

Every pair of that page's encoders, on its two sets, under its protocol and today's defaults; nothing is tuned. `auto`
is `--streams auto`: where it leaves one stream, its fit is that stream's alone. A finished fit is a file, and the page
is written again after each, so that a run that was stopped resumes; features that are missing are extracted.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from pathlib import Path

from encoders import DATA, ENCODERS, SEEDS, SHARED, Cell, fit, in_words, make, markdown, protocol, settings, view

from wsvad.datasets.dataset import Dataset
from wsvad.datasets.open import open_dataset
from wsvad.datasets.scenes import scenes_of
from wsvad.files import read_json, write_json, write_text
from wsvad.training.added import Added, added_by_streams
from wsvad.training.fitting import Fitting
from wsvad.training.selection import spread

PAGE = Path(__file__).parent / "results" / "sides.md"
METHODS = ("mil", "ur-dmu")
PAIRS = tuple(combinations(ENCODERS, 2))
SECONDS_OF = ("motion", "people")
"""Narrow ones, whose fits are done first."""


def order() -> Iterator[Cell]:
    """Fits of two streams, what is cheap and matters first."""
    pairs = sorted(PAIRS, key=lambda pair: sum(name not in SECONDS_OF for name in pair))
    for seeds in (range(1), range(1, 3), range(3, SEEDS)):
        for method, data, pair, seed in product(METHODS, DATA[::-1], pairs, seeds):
            yield Cell(data, method, pair, seed)


@cache
def dataset(data: str) -> Dataset:
    return open_dataset(str(SHARED / "data" / data), split={})


@cache
def scenes(data: str) -> Mapping[str, int]:
    return scenes_of(dataset(data).train)


def chosen(cell: Cell, out: Path) -> Added:
    """What `--streams auto` makes of both streams; the same for each method."""
    file = out / "auto" / cell.data / f"{'+'.join(cell.streams)}-{cell.seed}.json"
    if not file.is_file():
        first, *others = cell.streams
        fitting = Fitting(
            dataset=dataset(cell.data), features=view(out / cell.data, first), name=cell.method,
            config=settings(cell.method, tuple(others)), protocol=protocol(cell.seed),
        )  # fmt: skip
        found = added_by_streams(fitting, scenes(cell.data), cell.seed)
        names = {"rgb": first}
        write_json(
            file,
            {
                "kept": [names.get(name, name) for name in found.kept],
                "left_out": [[names.get(name, name), *aucs] for name, *aucs in found.left_out],
                "auc": found.auc,
            },
        )
    record = read_json(file)
    left_out = tuple((name, with_it, without) for name, with_it, without in record["left_out"])
    return Added(kept=tuple(record["kept"]), left_out=left_out, auc=record["auc"])


# ------------------------------------------------------------------------------------------------- the page

HEAD = f"""# Two streams side by side, against the better of them alone

Frame AUC after the last iteration, percent, mean ± standard deviation over seeds; their number in brackets where it is
not {SEEDS}. `python benchmarks/sides.py` makes the tables. *Better alone* is the stream with the higher mean. *Short*
is by how much the mean falls below it less one standard deviation: of the better one's seeds, or of their own where
that is larger; "no" where it does not.
"""


def write_page(out: Path) -> None:
    """Of what is finished."""
    parts = [HEAD]
    for data in DATA:
        head = [
            "method",
            "streams",
            "alone",
            "better alone",
            "side by side",
            "short",
            "`auto` keeps",
            "`auto`",
            "short",
        ]
        rows = [head, ["---"] * len(head)]
        for method, pair in product(METHODS, PAIRS):
            if row := one_row(data, method, pair, out):
                rows.append(row)
        parts += [f"\n## {data}\n\n", markdown(rows)]
    old = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    notes = old.partition("\n<!-- notes -->\n")[2]  # what is written by hand below the tables stays
    write_text(PAGE, "".join(parts) + "\n<!-- notes -->\n" + notes)


def one_row(data: str, method: str, pair: tuple[str, ...], out: Path) -> list[str]:
    """Empty where no seed has all of it."""
    alone: dict[str, list[float]] = {name: [] for name in pair}
    both, auto, kept = [], [], set()
    for seed in range(SEEDS):
        cell = Cell(data, method, pair, seed)
        files = [replace(cell, streams=(name,)).file(out) for name in pair]
        if not all(file.is_file() for file in files):
            continue
        single = {name: read_json(file)["auc"] for name, file in zip(pair, files, strict=True)}
        joint = read_json(cell.file(out))["auc"] if cell.file(out).is_file() else None
        found = chosen(cell, out)
        kept.add(" + ".join(found.kept))
        of_auto = single[found.kept[0]] if len(found.kept) == 1 else joint
        for name in pair:
            alone[name].append(single[name])
        both += [] if joint is None else [joint]
        auto += [] if of_auto is None else [of_auto]
    if not (both or auto):
        return []
    best = max(pair, key=lambda name: sum(alone[name]) / len(alone[name]))
    shown = "; ".join(f"{name} {in_words(alone[name])}" for name in pair)
    return [
        method, ", ".join(pair), shown, best, in_words(both), short(both, alone[best]), " or ".join(sorted(kept)),
        in_words(auto), short(auto, alone[best]),
    ]  # fmt: skip


def short(values: list[float], best: list[float]) -> str:
    """By how much values lie below the best less a standard deviation."""
    if not values:
        return "–"
    mine, theirs = spread(values), spread(best)
    by = theirs["mean"] - max(theirs["std"], mine["std"]) - mine["mean"]
    return "no" if by <= 0 else f"{100 * by:.1f}"


def main(out: Path = Path("runs/encoders")) -> None:
    for cell in order():
        print(cell, file=sys.stderr, flush=True)
        for name in cell.streams:
            make(cell.data, name, out)
            fit(replace(cell, streams=(name,)), out)
        fit(cell, out)
        write_page(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
