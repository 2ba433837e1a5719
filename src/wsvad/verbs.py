"""Verbs that take a finished run further: to another dataset, to one more category. As in `cli`, what a verb needs is
imported when it is called."""

from pathlib import Path
from typing import Any


def transfer(
    run: Path, to: str, protocol: Any, to_features: Path | None = None, out: Path = Path("runs/transfer")
) -> int:
    """Measure a run on another dataset: as it is, and with only its CORE kept and the rest trained there.

    For a method without CORE there is the first line alone. The last line is the same method trained there from
    nothing, to compare with.

    Args:
        run: Run folder.
        to: Dataset folder to test on, or toy for the simulated camera.
        to_features: Feature folder of that dataset, by default in the out folder, made with the run's encoders.
        out: Folder for transfer.csv, transfer.md and the runs that are trained.
    """
    from rich.console import Console

    from wsvad.evaluation.ablate import as_markdown
    from wsvad.evaluation.bench import open_data
    from wsvad.evaluation.transfer import Place, transfer
    from wsvad.training.run import load_method

    console = Console(stderr=True)
    dataset, features = open_data(to, load_method(run).encoders, to_features, out, console)
    print(as_markdown(transfer(run, Place(dataset=dataset, features=features), protocol, out, console)), end="")
    console.print(f"table in {out / 'transfer.md'}", highlight=False)
    return 0


def add_category(run: Path, name: str, videos: list[Path], out: Path | None = None) -> int:
    """Teach a finished run one more category from a handful of videos, without training it again.

    Everything else that the run has learnt stays as it is, to the byte. The run itself is left alone.

    Args:
        run: Run folder of a method with categories.
        name: The new category.
        videos: Videos that show it, or folders of them.
        out: Run folder to write, by default beside the run with the category's name added; one that is there is never
            overwritten.
    """
    from rich.console import Console

    from wsvad.detection.grow import grow, shares_table

    console = Console(stderr=True)
    grown = grow(run, name, videos, out, console)
    Console().print(shares_table(grown))
    console.print(f"{grown.sentence}\ngrown run in {grown.out}", highlight=False)
    return 0
