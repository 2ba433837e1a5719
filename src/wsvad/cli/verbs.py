"""Verbs that take a finished run further, verbs about what there is (features, datasets, methods, encoders), and how
verbs talk. As in `cli`: machine output on stdout, messages on stderr; what a verb needs is imported when it is called.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from textwrap import indent
from typing import Any

from wsvad.cli.output import say, show, show_json, show_text, table
from wsvad.errors import UsageError


def tell(sentences: Sequence[str]) -> None:
    """Messages, a line each."""
    for sentence in sentences:
        say(sentence)


def report_failures(failed: dict[str, str]) -> int:
    """Name what was skipped at the end, where it is seen; 1 if anything was."""
    for reason in failed.values():
        say(f"skipped: {reason}")
    return 1 if failed else 0


def resolved(streams: dict[str, str]) -> dict[str, str]:
    """Encoders as they mean the same in every folder; what `auto` chose is told."""
    from wsvad.encoders import resolve

    specs = {}
    for stream, spec in streams.items():
        specs[stream], sentence = resolve(spec)
        if sentence:
            say(sentence)
    return specs


# ------------------------------------------------------------------------------------------------ from a finished run


def distill(
    run: Path,
    to: str,
    config: Any,
    protocol: Any,
    streams: dict[str, str],
    data: Path | None = None,
    labels: Path | None = None,
    intervals: Path | None = None,
    features: Path | None = None,
    out: Path = Path("runs/student"),
    max_false_alarms_per_hour: float = 1.0,
    workers: int | None = None,
) -> int:
    """Make a finished run cheaper: a student that reads one stream learns from the run's scores.

    The run may be of any method. A run of dakd teaches by its features as well.

    Args:
        run: Run folder of the teacher.
        to: Stream that the student reads.
        data: Dataset folder that the run learned from, by default where it was then.
        labels: labels.csv, if it is not in the data folder.
        intervals: intervals.csv, if it is not beside the labels.
        features: Feature folder, by default the run's.
        out: Run folder to write.
        max_false_alarms_per_hour: Budget from which the threshold is chosen, on held-out normal videos.
        workers: Processes that extract, by default one for each core.
    """
    from wsvad.evaluation.table import selections_table
    from wsvad.training import distill as teaching

    lesson = teaching.lesson_of(
        run, to, config, resolved(streams), data=data, labels=labels, intervals=intervals, features=features
    )
    fitted, failed = teaching.distill(
        lesson, protocol, out, max_false_alarms_per_hour=max_false_alarms_per_hour, workers=workers
    )
    show(selections_table(fitted.metrics["selection"]))
    say(f"student in {out}")
    return report_failures(failed)


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
    from wsvad.runs.folder import RunFolder
    from wsvad.studies.ablate import as_markdown
    from wsvad.studies.bench import open_data
    from wsvad.studies.transfer import Place, transfer

    folder = RunFolder(run)
    dataset, features = open_data(to, folder.load().encoders, to_features, out, split=folder.split())
    show_text(as_markdown(transfer(run, Place(dataset=dataset, features=features), protocol, out)))
    say(f"table in {out / 'transfer.md'}")
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
    from wsvad.cli.tables import shares_table
    from wsvad.training.grow import grow

    grown = grow(run, name, videos, out)
    show(shares_table(grown))
    say(grown.sentence)
    say(f"new run in {grown.out}")
    return 0


# ----------------------------------------------------------------------------------------------------- what there is


def doctor(
    features: Path, data: Path, against: Path | None = None, repair: Path | None = None, json: bool = False
) -> int:
    """Explain what is wrong with features, and which convention they follow; 1 if something is to be mended.

    Args:
        features: Feature folder, released .npy files, or rgb=DIR,audio=DIR; or an array of frame labels (gt.npy).
        data: Dataset (folder, or NAME:FOLDER) whose videos and lengths they should have.
        against: Another set that is right, to compare numbers with.
        repair: New folder for a repaired copy, in the layout that the files have.
        json: Print the findings as JSON.
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.doctor.examine import as_json, diagnose, sentences

    found = diagnose(features, open_dataset(data, need_training=False), against, repair)
    if json:
        show_json(as_json({stream: findings for stream, (_, findings) in found.items()}))
    else:
        told = [line for stream, (head, findings) in found.items() for line in sentences(stream, findings, head)]
        show_text("\n".join(told))
    return int(any(finding.level == "wrong" for _, findings in found.values() for finding in findings))


def compare_features(sets: list[Path], json: bool = False) -> int:
    """Say where two sets of features part: lengths, crops and their order, scale, shift, pixels; 1 if they do.

    Args:
        sets: Two feature folders, the first one taken as it should be.
        json: Print the findings as JSON.
    """
    from wsvad.doctor.examine import as_json, compare_sets, sentences

    if len(sets) != 2:
        raise UsageError(f"compare-features: {len(sets)} sets; name two")
    found = compare_sets(*sets)
    if json:
        show_json(as_json(found))
    else:
        show_text("\n".join(line for stream, findings in found.items() for line in sentences(stream, findings)))
    return int(any(finding.level == "wrong" for findings in found.values() for finding in findings))


def methods() -> int:
    """List the methods: what each learns from and what it needs to run."""
    from wsvad.methods import METHODS

    rows = []
    for name in METHODS:
        kind = METHODS[name]
        module = import_module(kind.__module__).__doc__ or ""
        rows.append((name, ", ".join(kind.learns_from), ", ".join(kind.runs_on), module.splitlines()[0]))
    show(table(("method", "learns from", "runs on", "what it is"), rows))
    return 0


def datasets() -> int:
    """List the published datasets that are read in their official files: splits, headline metric, what is needed."""
    from wsvad.datasets.benchmark import DATASETS

    for name in DATASETS:
        one = DATASETS[name]
        (train, test), about = (one.split["train"], one.split["test"]), import_module(one.read.__module__).__doc__ or ""
        sizes = f"train {train[0]:,} abnormal + {train[1]:,} normal, test {test[0]:,} + {test[1]:,}"
        show_text(f"{name}: {sizes}, headline {one.headline}\n\n{indent(about.strip(), '    ')}\n\n ")
    return 0


def encoders() -> int:
    """List the encoders: the input of each, and whether it runs on this machine."""
    from wsvad.encoders import auto, list_encoders

    rows = [
        (one.name, one.input, one.width or "its file's", "yes" if one.available else one.install)
        for one in list_encoders()
    ]
    show(table(("encoder", "makes features from", "width", "runs here"), rows))
    say(f"auto: {auto()[1]}")
    return 0
