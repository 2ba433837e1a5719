"""Verbs that bring in what other programs made, and take ours to them. What a verb needs is imported when it is
called."""

from pathlib import Path
from typing import Annotated, Any, Literal

from wsvad.cli.common import DONE, left_out, tell
from wsvad.cli.options import DEFAULT_METHOD, File, Folder, Names, Run, names, refuse
from wsvad.cli.output import say
from wsvad.errors import UsageError
from wsvad.ranges import Count


def import_checkpoint(
    checkpoint: File, config: Any, method: str = DEFAULT_METHOD, out: Run = Path("runs/imported")
) -> int:
    """Make a run from a public checkpoint of a method, so that it can be evaluated on features.

    Only weights are read: a file that would run code when it is opened is refused.

    Args:
        checkpoint: File of torch.save(model.state_dict()), or .safetensors, under the official code's names.
        method: Method of the checkpoint: ur-dmu or rtfm.
        out: Run folder to write.
    """
    from wsvad.runs.importing import import_checkpoint

    trained = import_checkpoint(checkpoint, method, config, out)
    width = ", ".join(f"{stream} features of width {width}" for stream, width in trained.widths.items())
    say(f"run in {out}, which reads {width}: wsvad evaluate {out} --data FOLDER --features FOLDER")
    return DONE


def convert(
    what: Annotated[Path, "FILE|FOLDER"],
    out: Annotated[Path, "FILE|FOLDER"],
    to: Literal["csv", "cvat", "label-studio", "via"] | None = None,
    listing: File | None = None,
    stride: Count | None = None,
    frame_rate: Annotated[str, "NUMBER"] | None = None,
    videos: Folder | None = None,
) -> int:
    """Turn frame scores, or annotations of intervals, into another form.

    Scores are .npz, .csv, scores.json, one .npy of all videos, or a folder with one .npy a video. Annotations are
    intervals.csv, CVAT's XML (a file a video), Label Studio's JSON, or a project of VIA. The events of scores.json, or
    events.csv, become annotations: by --to, or where --out is intervals.csv.

    Args:
        what: File or folder.
        out: File to write; for CVAT and for arrays of each video a folder.
        to: Format of annotations, if the ending of the file does not determine it.
        listing: CSV (video,frames) of the videos in .npy, in order, if it is not beside it as NAME-videos.csv.
        stride: Frames that each number in .npy stands for, 16 for snippets (default: 1).
        frame_rate: Frames a second of all videos, 25 or 30000/1001, for VIA, which counts seconds; with --videos the
            rate at which Label Studio counts.
        videos: Folder of the videos, whose own frames are then counted and timed, and names with their subfolders.
    """
    from wsvad.evaluation import convert
    from wsvad.files import check_writable

    if frame_rate is not None:
        convert.parsed_rate(frame_rate)
    convert.refuse_to_overwrite(out)
    check_writable(out if out.is_dir() else out.parent)
    arrays = {"--listing": listing, "--stride": stride}
    if convert.is_scores(what) and not convert.asks_for_events(what, out, to):
        refuse("scores", {"--to": to, "--frame-rate": frame_rate, "--videos": videos})
        if what.suffix in (".csv", ".npz"):
            refuse(f"scores in {what.suffix}", arrays)
        tell([convert.convert_scores(what, out, listing, stride or 1)])
        return DONE
    refuse("annotations", arrays)
    tell(convert.convert_annotations(what, out, to, frame_rate, videos))
    return DONE


def labels(
    recordings: Folder,
    frigate: Annotated[str, "URL"],
    out: Annotated[Path, "FILE"],
    abnormal: Names | None = None,
    user: Annotated[str, "NAME"] = "",
    password: Annotated[str, "${NAME}"] = "",
    token: Annotated[str, "${NAME}"] = "",
    ca: File | None = None,
    name_pattern: Annotated[str, "PATTERN"] = "{date}/{hour}/{camera}/{minute}.{second}",
    time_zone: Annotated[str, "ZONE"] = "UTC",
) -> int:
    """Label recordings by the events that Frigate has of them, as labels.csv and intervals.csv for 'wsvad train'.

    A recording is abnormal where an event that counts is in it, and else normal. Left out, and named, are recordings
    whose names do not say when and by which camera they were made; those from before the oldest event that Frigate
    still has; and those with nothing but what wsvad itself has reported, which is nobody's judgement.

    Args:
        recordings: Folder of recordings, as Frigate's own media/frigate/recordings.
        frigate: Address of Frigate, http://HOST:5000 or https://HOST:8971; may have ${NAME} in it.
        out: labels.csv to write; intervals.csv is written beside it.
        abnormal: Labels or sub-labels of events that count (default: events that were created by hand).
        user: Name of a user of Frigate.
        password: The user's password, as '${NAME}' from the environment.
        token: A token in place of user and password, as '${NAME}'.
        ca: Certificate of the server's authority (PEM), if the system does not know it.
        name_pattern: How names say it, with their folders.
        time_zone: Of the times in names.
    """
    import time

    from wsvad.cli.score_outputs import clock_of
    from wsvad.datasets.recordings import recordings_below, write_labels
    from wsvad.evaluation.convert import refuse_to_overwrite
    from wsvad.files import check_writable
    from wsvad.sinks.frigate_events import label
    from wsvad.sinks.frigate_server import Server

    intervals = out.with_name("intervals.csv")
    if out == intervals:
        raise UsageError(f"--out {out}: the intervals are written under this name; name the labels labels.csv")
    for path in (out, intervals):
        refuse_to_overwrite(path)
    check_writable(out.parent)
    meant = names("--abnormal", abnormal) if abnormal is not None else []
    server = Server(url=frigate, user=user, password=password, token=token, ca=str(ca) if ca else "")
    clock = clock_of(None, name_pattern, time_zone)
    left: dict[str, str] = {}
    found = recordings_below(recordings, clock, left)
    truth = label(server, found, meant, time.time(), left)
    write_labels(out, intervals, truth)
    shown = sum(map(bool, truth.values()))
    say(f"{out}: {len(truth)} recordings, {shown} abnormal, {len(truth) - shown} normal")
    say(f"{intervals}: {sum(map(len, truth.values()))} intervals")
    return left_out(left)
