"""`--data`: a folder with labels.csv, or a published dataset in its official files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from wsvad.datasets.benchmark import DATASETS, Benchmark
from wsvad.datasets.dataset import Dataset
from wsvad.datasets.folder import check_training, has_labels, open_folder
from wsvad.datasets.official import find, missing
from wsvad.errors import UsageError, WsvadError
from wsvad.files import path_of
from wsvad.storage import is_remote, place
from wsvad.video.names import normal


def open_dataset(
    folder: Path | str,
    labels: Path | str | None = None,
    intervals: Path | str | None = None,
    *,
    seed: int = 0,
    split: Mapping[str, str] | None = None,
    need_training: bool = True,
    by_scene: bool = True,
) -> Dataset:
    """Read a dataset, whose videos need not be there.

    Args:
        folder: a folder, or NAME:FOLDER where NAME is a published dataset (`ucf-crime`, with - or _). A folder without
            labels.csv is recognised by the official files in it.
        labels: labels.csv, if it is not in the folder.
        intervals: intervals.csv, if it is not beside the labels.
        seed: decides the hold-out where no split is given.
        split: that of an earlier call, see `open_folder`.
        by_scene: see `open_folder`.
        need_training: False for an evaluation: then there may be test videos alone.

    Raises:
        UsageError: there is no dataset of that name.
        WsvadError: a file is missing, or says something that cannot be right.
    """
    benchmark, folder = _named(str(path_of("folder", folder)))
    if not folder.is_dir():
        raise WsvadError(f"{folder}: there is no such folder")
    # Under a dataset's name, train.csv and test.csv may be its lists.
    ours = labels is not None or has_labels(folder, whole=benchmark is not None)
    if benchmark is None and not ours:
        benchmark = recognise(folder)
    if benchmark is None or ours:
        dataset = open_folder(folder, labels, intervals, seed=seed, split=split, need_videos=False, by_scene=by_scene)
        if benchmark is None:
            return dataset
        source = dataset.source | {"folder": f"{benchmark.name}:{folder.resolve()}"}
        return replace(dataset, name=benchmark.name, benchmark=benchmark.name, source=source)
    dataset = Dataset(
        name=benchmark.name,
        videos=tuple(replace(video, name=normal(video.name)) for video in benchmark.read(folder)),
        source={"folder": f"{benchmark.name}:{folder.resolve()}"},
        benchmark=benchmark.name,
    )
    if need_training:
        if not dataset.train:
            raise missing(
                folder,
                f"list of the training videos of {benchmark.name}",
                "any list of them without 'test' in its name",
            )
        check_training(dataset, folder)
    return dataset


def folder_of(data: Path | str) -> Path:
    """The folder in NAME:FOLDER, or the folder itself."""
    return _named(str(data))[1]


def recognise(folder: Path) -> Benchmark | None:
    """The published dataset whose official files are in a folder.

    Raises:
        UsageError: those of several are there, as in the list folders of public code.
    """
    found: list[Benchmark] = [one for _, one in DATASETS.working() if find(folder, *one.marks)]
    if len(found) > 1:
        names = " and ".join(benchmark.name for benchmark in found)
        raise UsageError(f"{folder}: official files of {names} are here; choose one, as in {found[0].name}:{folder}")
    return found[0] if found else None


def benchmark_of(dataset: Dataset) -> Benchmark | None:
    """The published dataset that a dataset is."""
    return DATASETS[dataset.benchmark] if dataset.benchmark else None


def _named(data: str) -> tuple[Benchmark | None, Path]:
    """NAME:FOLDER as its parts; a plain folder has no name (nor has `C:\\videos`)."""
    name, colon, folder = data.partition(":")
    if not colon or len(name) < 2 or "/" in name or is_remote(place(data)) or place(data).exists():
        if not place(data).exists() and name.replace("_", "-") in DATASETS:
            raise UsageError(f"'{data}': name its folder as well, {data}:FOLDER with the official lists and annotation")
        return None, place(data)
    return DATASETS[name.replace("_", "-")], place(folder)
