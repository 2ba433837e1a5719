"""CVAT's XML 1.1, one file a task, which is one video.

An interval is a track ("CVAT for video") that is to be seen in its frames, whatever its shape; or a run of frames with
the same tag or shape ("CVAT for images"). CVAT knows no event without a place: we write a track whose box is the pixel
in the corner. Frames are those of the video. The file is read in one pass; a document type is refused, and with it
everything that XML can be made to fetch or to blow up. The parser gets the file as a whole, for it begins a tag anew
with every part that it gets, and no tag of a length on which it would take minutes.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from xml.parsers import expat

from wsvad.datasets.annotations.truth import Truth, runs
from wsvad.errors import WsvadError
from wsvad.files import check_file, write_text
from wsvad.metrics.interval import Interval
from wsvad.tables import WHOLE, whole

MOST_BYTES, LONGEST = 128 * 2**20, 2**20
"""Size of the largest file, and of its largest tag."""
SHAPES = ("box", "polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton")


def read(path: Path) -> Truth:
    """Read a file, or all that are in a folder.

    Raises:
        WsvadError: one is not CVAT's, or two are of the same video.
    """
    truth: dict[str, tuple[Interval, ...]] = {}
    for file in sorted(path.rglob("*.xml")) if path.is_dir() else [path]:
        task = _Task(file)
        name = task.name or file.name.removesuffix(".xml")
        if name in truth:
            raise WsvadError(f"{file}: {name} has two files; keep one")
        truth[name] = tuple(task.intervals())
    return truth


class _Task:
    """One file, as the parser goes through it."""

    def __init__(self, path: Path):
        self.path = path
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = defaultdict(list)
        """Of `meta`, in the parts in which the parser gives them."""
        self.track: tuple[str, dict[int, bool]] = "", {}
        self.tracks: list[tuple[str, dict[int, bool]]] = []
        """Category, and whether it is to be seen, by frame."""
        self.image = 0
        self.seen: dict[str, set[int]] = defaultdict(set)
        """Category → frames, of a file with frames instead of tracks."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self.start, self.end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = self.text, self.refuse
        content = _content(path)
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise WsvadError(f"{path}: not XML ({error}); export it again") from None
        except (LookupError, ValueError) as error:  # an encoding that nobody knows is a LookupError as well
            line = parser.CurrentLineNumber
            raise WsvadError(f"{path} line {line}: not in CVAT's format ({error}); export it again") from None

    def refuse(self, *declared: Any) -> None:
        raise WsvadError(f"{self.path}: has a document type, which CVAT never writes and which is not read; remove it")

    def start(self, tag: str, found: dict[str, str]) -> None:
        if not self.open and tag != "annotations":
            raise WsvadError(f"{self.path}: begins with <{tag}>, not <annotations>; export 'CVAT for video 1.1'")
        parent = self.open[-1] if self.open else ""
        self.open.append(tag)
        if tag == "project" and parent == "meta":
            raise WsvadError(f"{self.path}: an export of a whole project; export each of its tasks, which is one video")
        if tag == "track":
            self.track = found["label"], {}
            self.tracks.append(self.track)
        elif tag == "image":
            self.image = whole(found["id"])
        elif tag in SHAPES and parent == "track":
            self.track[1][whole(found["frame"])] = found.get("outside", "0") != "1"
        elif tag in (*SHAPES, "tag") and parent == "image":
            self.seen[found["label"]].add(self.image)

    def end(self, tag: str) -> None:
        self.open.pop()

    def text(self, text: str) -> None:
        if len(self.open) == 4 and self.open[1] == "meta" and self.open[2] in ("task", "job"):
            self.texts[self.open[3]].append(text)
        elif len(self.open) == 3 and self.open[1:] == ["meta", "source"]:
            self.texts["source"].append(text)

    def about(self, key: str) -> str:
        """What `meta` says; empty where it does not."""
        return "".join(self.texts[key]).strip()

    @property
    def name(self) -> str:
        """The video file; where CVAT does not say, the task's name."""
        return self.about("source") or self.about("name")

    def intervals(self) -> list[Interval]:
        """Of all tracks and of all frames."""
        last = self.about("stop_frame")
        if last and not re.fullmatch(WHOLE, last):
            raise WsvadError(f"{self.path}: stop_frame is '{last}', which is no frame; export it again")
        beyond = int(last) + 1 if last else 0
        found = [Interval(start=s, end=e, category=c) for c, frames in self.tracks for s, e in _visible(frames, beyond)]
        return found + [
            Interval(start=s, end=e, category=c) for c, frames in self.seen.items() for s, e in runs(frames)
        ]


def _content(path: Path) -> bytes:
    check_file(path, MOST_BYTES)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WsvadError(f"{path}: {error.strerror or error}") from None
    if any(tag.end() - tag.start() > LONGEST for tag in re.finditer(b"[^>]+", content)):
        raise WsvadError(f"{path}: has a tag or a text of more than 1 MB, which CVAT never writes; export it again")
    return content


def _visible(frames: Mapping[int, bool], beyond: int) -> list[tuple[int, int]]:
    """When a track is to be seen. Between two of its frames it stays as it was; after the last one until the task's
    end, where that is known."""
    found, since = [], None
    for frame in sorted(frames):
        if frames[frame] and since is None:
            since = frame
        elif not frames[frame] and since is not None:
            found.append((since, frame))
            since = None
    return found if since is None else [*found, (since, max(max(frames) + 1, beyond))]


def write(path: Path, truth: Truth, frames: Mapping[str, int]) -> None:
    """Write `VIDEO.xml` for each video into a folder, or one file.

    Raises:
        WsvadError: there are several videos for one file, or a name leads out of the folder.
    """
    if path.suffix == ".xml" and len(truth) != 1:
        raise WsvadError(f"{path}: CVAT has a file for each video, and there are {len(truth)}; name a folder")
    for video, intervals in truth.items():
        if Path(video).is_absolute() or ".." in Path(video).parts:
            raise WsvadError(f"{path}: the name '{video}' points outside the folder; change it")
        place = path if path.suffix == ".xml" else path / f"{video}.xml"
        write_text(place, _document(place, video, intervals, frames.get(video)))


def _document(path: Path, video: str, intervals: tuple[Interval, ...], frames: int | None) -> str:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    about = {"name": video, "mode": "interpolation", "source": video}
    if frames is not None:
        about |= {"size": str(frames), "start_frame": "0", "stop_frame": str(frames - 1)}
    for key, value in about.items():
        SubElement(task, key).text = value
    labels = SubElement(task, "labels")
    for category in dict.fromkeys(interval.category for interval in intervals):
        SubElement(SubElement(labels, "label"), "name").text = category
    for number, interval in enumerate(intervals):
        track = SubElement(root, "track", id=str(number), label=interval.category, source="manual")
        seen = [(frame, "0") for frame in sorted({interval.start, interval.end - 1})]
        gone = [(interval.end, "1")] if interval.end != frames else []  # at the video's end there is no frame to leave
        for frame, outside in seen + gone:
            box = {"frame": str(frame), "outside": outside, "occluded": "0", "keyframe": "1"}
            SubElement(track, "box", box | {"xtl": "0.00", "ytl": "0.00", "xbr": "1.00", "ybr": "1.00"})
    indent(root)
    try:
        text = tostring(root, encoding="unicode", xml_declaration=False)
        expat.ParserCreate().Parse(text, True)
    except (expat.ExpatError, UnicodeError):
        raise WsvadError(f"{path}: a name has characters that XML cannot hold: {video!r}; change it") from None
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'
