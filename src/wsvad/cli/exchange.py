"""Verbs that bring in what other programs made, and take ours to them. As in `cli`, what a verb needs is imported when
it is called."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from wsvad.cli.output import say
from wsvad.cli.parser import DEFAULT_METHOD
from wsvad.cli.verbs import tell
from wsvad.errors import UsageError


def import_checkpoint(
    checkpoint: Path, config: Any, method: str = DEFAULT_METHOD, out: Path = Path("runs/imported")
) -> int:
    """Make a run from a public checkpoint of a method, so that it can be evaluated on features.

    Only weights are read: a file that would run code when it is opened is refused.

    Args:
        checkpoint: File of torch.save(model.state_dict()), or .safetensors, under the official code's names.
        method: Method that it is of: ur-dmu, rtfm.
        out: Run folder to write.
    """
    from wsvad.runs.importing import import_checkpoint

    trained = import_checkpoint(checkpoint, method, config, out)
    width = ", ".join(f"{stream} features of width {width}" for stream, width in trained.widths.items())
    say(f"run in {out}, which reads {width}: wsvad evaluate {out} --data FOLDER --features FOLDER")
    return 0


def convert(
    what: Path,
    out: Path,
    to: Literal["csv", "cvat", "label-studio", "via"] | None = None,
    listing: Path | None = None,
    stride: int = 1,
    frame_rate: str | None = None,
    videos: Path | None = None,
) -> int:
    """Turn frame scores, or annotations of intervals, into another form.

    Scores are .npz, .csv, one .npy of all videos, or a folder with one .npy a video. Annotations are intervals.csv,
    CVAT's XML (a file a video), Label Studio's JSON, or a project of VIA.

    Args:
        what: File or folder.
        out: File to write; for CVAT and for arrays of each video a folder.
        to: Form of annotations, where the ending of the file leaves it open.
        listing: CSV (video,frames) of the videos in .npy, in order, if it is not beside it as NAME-videos.csv.
        stride: Frames that each number in .npy stands for, 16 for snippets.
        frame_rate: Frames a second of all videos, 25 or 30000/1001, for VIA, which counts seconds.
        videos: Folder of the videos, whose own frame rates are then taken, and names with their subfolders.
    """
    from wsvad.evaluation import convert

    convert.refuse_to_overwrite(out)
    if convert.is_scores(what):
        refuse("scores", {"--to": to, "--frame-rate": frame_rate, "--videos": videos})
        told = [convert.convert_scores(what, out, listing, stride)]
    else:
        refuse("annotations", {"--listing": listing, "--stride": stride != 1})
        told = convert.convert_annotations(what, out, to, frame_rate, videos)
    tell(told)
    return 0


def refuse(what: str, given: Mapping[str, object]) -> None:
    """Stop at an option that means nothing here.

    Raises:
        UsageError: one is given.
    """
    for option, value in given.items():
        if value:
            raise UsageError(f"{option} is not for {what}; leave it out")
