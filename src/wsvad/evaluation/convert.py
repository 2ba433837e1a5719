"""From one form to another: frame scores, and annotations."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from wsvad.datasets.annotations import (
    Form,
    Times,
    form_to_write,
    holds_annotations,
    read_annotations,
    write_annotations,
)
from wsvad.datasets.annotations.truth import AsDecoded, AtRate, FrameTimes, Truth, as_decoded, checked
from wsvad.datasets.folder import videos_below
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.explained import ends_past
from wsvad.evaluation.score_forms import (
    MOST_BYTES,
    events_of,
    holds_scores,
    is_scored,
    load_arrays,
    save_arrays,
    written,
)
from wsvad.evaluation.scores_file import split
from wsvad.files import check_file
from wsvad.metrics.interval import Interval
from wsvad.tables import columns
from wsvad.video.names import is_end, normal


def convert_scores(what: Path, out: Path, listing: Path | None = None, stride: int = 1) -> str:
    """Scores to the form that `out` says by its ending; what was written, as a sentence.

    Args:
        what, listing, stride: see `score_forms.load_arrays`.
        out: `.npz`, `.csv`, `.npy`, or a folder to be of arrays.

    Raises:
        WsvadError: what there is cannot be right.
        UsageError: something is there that would be written over, or read as a part of what is written.
    """
    for path in written(out):
        refuse_to_overwrite(path)
    arrays = load_arrays(what, listing, stride)
    arrays["video"] = np.array(list(split(what, arrays)))  # names as they are compared, which files can have
    left = ""
    if out.suffix != ".npz" and "class_score" in arrays:
        left = "; scores of categories are left out, which only .npz can hold"
        arrays = {key: array for key, array in arrays.items() if key not in ("class_score", "categories")}
    save_arrays(out, arrays)
    return f"{out}: {len(arrays['video'])} videos, {int(np.sum(arrays['frames']))} frames{left}"


def convert_annotations(
    what: Path, out: Path, to: Form | None = None, frame_rate: str | None = None, videos: Path | None = None
) -> list[str]:
    """Annotations to another form; what was written, left out, or is past a video's end, as sentences.

    Args:
        what: see `read_annotations`; or `scores.json`, for the events in it.
        out, to: see `form_to_write`.
        frame_rate: of all videos, `25` or `30000/1001`, for VIA, which counts seconds; with the videos the rate at
            which Label Studio counts, whatever theirs is.
        videos: folder of the videos: their own frames are counted and timed by decoding, and names, which tools keep
            without folders, are those of files below it.

    Raises:
        WsvadError: what there is cannot be right; a video is not in the folder, or several of its name are.
        UsageError: a form counts seconds, and no rate is known; or a rate is given that nothing here has a use for.
    """
    rate = parsed_rate(frame_rate) if frame_rate else None
    target = form_to_write(out, to)
    folder = _Folder(videos, what) if videos else None

    def times(video: str) -> FrameTimes:
        if folder is not None:
            return folder.decoded(video)
        if rate is None:
            raise UsageError("VIA stores seconds: give --frame-rate, or the folder of the videos with --videos")
        return AtRate(rate)

    truth, notes, source = _read(what, times)
    if not truth:
        raise WsvadError(f"{what}: has no videos in it, so there is nothing to convert; export it again")
    if rate is not None:
        _check_rate_is_used(source, target, with_videos=folder is not None)
    lengths: dict[str, int] = {}
    if folder is not None:
        truth = folder.renamed(truth)
        if rate is not None and source == "label-studio":
            truth = _mapped(truth, lambda video, edge: times(video).frame(edge / rate))
        lengths = {video: folder.decoded(video).count for video in truth}
        notes = [*notes, *_past_the_end(truth, lengths)]
        if rate is not None and target == "label-studio":
            truth = _mapped(truth, lambda video, edge: round(times(video).second(edge) * rate))
    write_annotations(out, truth, target, times, lengths)
    return [*notes, f"{out}: {len(truth)} videos, {sum(map(len, truth.values()))} intervals"]


def _read(what: Path, times: Times) -> tuple[Truth, list[str], Form]:
    """As `read_annotations`; events count frames as our own table does."""
    if what.suffix == ".json" and is_scored(what):
        return checked(what, events_of(what)), [], "csv"
    return read_annotations(what, times)


class _Folder:
    """The videos that annotations are of."""

    def __init__(self, videos: Path, what: Path):
        self.videos, self.what, self.files = videos, what, videos_below(videos)
        self._decoded: dict[str, AsDecoded] = {}
        self._called: dict[str, list[str]] = {}
        """Name without folders → the videos that are called so."""
        for name in self.files:
            self._called.setdefault(name.rpartition("/")[2], []).append(name)

    def name(self, video: str) -> str:
        """The name below the folder of a video that a tool kept by its own name."""
        video = normal(video)
        called = self._called.get(video.rpartition("/")[2], [])
        found = [video] if video in self.files else [name for name in called if is_end(name, video)]
        if len(found) != 1:
            raise WsvadError(
                f"{self.videos}: {len(found) or 'no'} videos here are called '{video}', which {self.what} names"
            )
        return found[0]

    def renamed(self, truth: Truth) -> Truth:
        named = {self.name(video): intervals for video, intervals in truth.items()}
        if len(named) < len(truth):
            raise WsvadError(
                f"{self.what}: names {len(truth)} videos, which are only {len(named)} files in {self.videos}"
            )
        return named

    def decoded(self, video: str) -> AsDecoded:
        name = self.name(video)
        if name not in self._decoded:
            self._decoded[name] = as_decoded(self.files[name])
        return self._decoded[name]


def _check_rate_is_used(source: Form, target: Form, *, with_videos: bool) -> None:
    """Refuse a frame rate that would be ignored."""
    forms = {source, target}
    if not forms & {"via", "label-studio"}:
        raise UsageError(f"--frame-rate: {source} and {target} count the frames of the video itself; leave it out")
    if with_videos and "label-studio" not in forms:
        raise UsageError("--frame-rate: the videos themselves say when their frames are; leave one of the two out")
    if not with_videos and "via" not in forms:
        raise UsageError(
            "--frame-rate: Label Studio counts frames at a rate of its own, which becomes the video's only by the "
            "folder of the --videos; name it, or leave the rate out where the two are the same"
        )


def _mapped(truth: Truth, edge: Callable[[str, int], int]) -> Truth:
    """The same intervals with other numbers of frames, none of them empty."""

    def one(video: str, interval: Interval) -> Interval:
        start = edge(video, interval.start)
        return replace(interval, start=start, end=max(start + 1, edge(video, interval.end)))

    return {video: tuple(one(video, interval) for interval in intervals) for video, intervals in truth.items()}


def _past_the_end(truth: Truth, lengths: Mapping[str, int]) -> list[str]:
    return ends_past(
        [(video, one, lengths[video]) for video, each in truth.items() for one in each if one.end > lengths[video]]
    )


def parsed_rate(text: str) -> float:
    """`25`, `29.97` or `30000/1001`.

    Raises:
        UsageError: it is none of these, or not above 0.
    """
    # The digits are counted before any is computed with: 1e999999999 would be a number of as many.
    good = re.fullmatch(r"\s*[0-9]{1,10}(?:/0*[1-9][0-9]{0,9}|\.[0-9]{0,10})?\s*", text)
    rate = float(Fraction(text)) if good else 0.0
    if not 0 < rate < 1e4:
        raise UsageError(f"--frame-rate {text}: write frames a second, as in 25 or 30000/1001")
    return rate


def refuse_to_overwrite(out: Path) -> None:
    """Stop where something is that may have cost somebody days.

    Raises:
        UsageError: something is there.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UsageError(f"{out}: exists already; delete it, or name another --out")


def asks_for_events(what: Path, out: Path, to: Form | None) -> bool:
    """Whether the events of `scores.json` are to be written, and not its scores: in a form of annotations, or under the
    name that their table has."""
    form = to is not None or out.suffix in (".xml", ".json") or out.name == "intervals.csv"
    return form and what.suffix == ".json" and is_scored(what)


def is_scores(what: Path) -> bool:
    """Whether a file or folder is scores; otherwise it is annotations.

    Raises:
        WsvadError: it is neither.
    """
    if not what.exists():
        raise WsvadError(f"{what}: there is no such file")
    if what.is_file():
        check_file(what, MOST_BYTES)
    if holds_scores(what) and not (what.suffix in (".csv", ".xlsx") and "score" not in columns(what)):
        return True
    if holds_annotations(what):
        return False
    if (what / "scores.json").is_file():
        raise UsageError(f"{what}: a folder that 'wsvad score' wrote; give {what / 'scores.json'}, or events.csv there")
    raise UsageError(f"{what}: neither scores (.npz, .npy, .csv, a folder of .npy) nor annotations (.csv, .xml, .json)")
