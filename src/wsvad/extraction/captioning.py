"""Videos to captions.jsonl, by a vision-language model: one caption for each segment of a video, one line a video.

The file grows by whole lines, and its passport stands beside it from the start. So the file itself is the memory: what
has a line that was made of this very video is kept, and the same command goes on with the rest.
"""

import errno
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from wsvad.encoders.captioner import Captioner
from wsvad.encoders.captions_file import passport_path, read_captions, read_passport
from wsvad.encoders.encoder import Sampling
from wsvad.errors import Interrupted, UsageError, WsvadError
from wsvad.files import atomic, explain, is_file, sha256, write_json
from wsvad.locks import writing
from wsvad.progress import report_progress
from wsvad.video.names import normal
from wsvad.video.reader import DECODER, VideoReader

logger = logging.getLogger(__name__)

MOST_SECONDS = 3600
"""Of a segment."""


@dataclass(frozen=True)
class Segment:
    """How long a segment is: `5s`, seconds at a video's average frame rate, or `80`, frames."""

    text: str

    def frames(self, rate: Fraction) -> int:
        """Frames of a segment in a video of that rate.

        Raises:
            UsageError: the text says no such length.
        """
        found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(s?)", self.text.strip())
        length = Fraction(found[1]) if found else Fraction(0)
        whole = found is not None and (bool(found[2]) or length.denominator == 1)
        if not whole or not 0 < length <= (MOST_SECONDS if found and found[2] else 10**6):
            raise UsageError(f"--segment {self.text}: write seconds, as in 5s, or frames, as in 80")
        return max(1, round(length * rate)) if found and found[2] else int(length)


@dataclass
class Captions:
    """What became of the videos."""

    done: int = 0
    """Videos that were captioned."""
    reused: int = 0
    """Videos whose captions were there."""
    failed: dict[str, str] = field(default_factory=dict)
    """Video → one line that says what is wrong with it."""


def caption_videos(
    videos: Mapping[str, Path], captioner: Captioner, out: Path, *, segment: Segment, raw_rate: float | None = None
) -> Captions:
    """Write the captions of all videos that have none in `out` yet.

    Args:
        videos: name → file.
        segment: frames that a caption is about.
        raw_rate: frames per second of raw streams that do not say it.

    Raises:
        UsageError: there is no such segment.
        WsvadError: `out` was written in another way; it cannot be written; the model gives no text.
        Interrupted: by Ctrl-C.
    """
    segment.frames(Fraction(25))  # a wrong length is an error before any work
    wanted = captioner.passport() | {"segment": segment.text.strip(), "decoder": DECODER}
    found = Captions()
    with writing(out.parent):
        there = _there(out, wanted)
        found.reused = len(kept := _kept(out, there, videos))
        missing = {name: path for name, path in videos.items() if name not in kept}
        try:
            for number, (name, path) in enumerate(missing.items()):
                report_progress("caption", number, len(missing), f"{number}/{len(missing)} videos")
                try:
                    _append(out, _line(name, path, captioner, segment, raw_rate, len(missing), number))
                    found.done += 1
                except _Unread as error:
                    found.failed[name] = str(error)
                    logger.warning("skipped: %s", error)
            report_progress("caption", len(missing), len(missing), f"{len(missing)}/{len(missing)} videos")
        except KeyboardInterrupt:
            finished = f"{found.done + found.reused} of {len(videos)} videos are finished and kept"
            raise Interrupted(f"{out}: interrupted; {finished}; run the same command again to resume") from None
    return found


class _Unread(WsvadError):
    """A video that cannot be read; the others can."""


def _line(
    name: str, path: Path, captioner: Captioner, segment: Segment, raw_rate: float | None, videos: int, number: int
) -> dict[str, object]:
    """A video's line: its captions, and what they are about.

    Raises:
        _Unread: the video cannot be read.
        WsvadError: no segment has any text.
    """
    captions, count = list[str](), 0
    try:
        video = VideoReader(path, raw_rate=raw_rate)
    except WsvadError as error:
        raise _Unread(str(error)) from None
    with video:
        stride, declared = segment.frames(video.info.rate), video.info.declared
        for pictures, read in _segments(video, stride, captioner.frames):
            captions.append(captioner.describe(pictures))
            count += read
            share = min(count / declared, 1.0) if declared else 0.0
            detail = f"{number}/{videos} videos, {len(captions):,} captions of {name}"
            report_progress("caption", number + share, videos, detail)
    if not any(captions):
        raise WsvadError(
            f"{captioner.folder}: it gives no text for any segment of {name}; use another model, or another --prompt"
        )
    return {"video": name, "captions": captions, "frames": count, "stride": stride, "source": sha256(path)}


def _segments(video: VideoReader, stride: int, count: int) -> Iterator[tuple[list[np.ndarray], int]]:
    """Pictures of each segment, evenly spaced, and how many frames it has. Of a short last one those that there are, or
    its last frame. No more than these pictures are held."""
    offsets = sorted(set(Sampling(count=count).offsets(stride)))
    pictures, last, read = list[np.ndarray](), None, 0
    for frame in video:
        if read in offsets:
            pictures.append(frame.array())
        last, read = frame, read + 1
        if read == stride:
            yield pictures, read
            pictures, last, read = [], None, 0
    if last is not None:
        yield pictures or [last.array()], read


def _there(out: Path, wanted: dict[str, str | int]) -> bool:
    """Whether there is a captions file made in this way; its passport is written where there is none.

    Raises:
        WsvadError: there is one that was made in another way.
    """
    there = is_file(out) and out.stat().st_size > 0
    known = read_passport(out)
    if there and known != wanted:
        differing = next((key for key in wanted if known and known.get(key) != wanted[key]), None)
        why = f"{differing}: {known[differing]} against {wanted[differing]}" if known and differing in known else ""
        raise WsvadError(
            f"{out}: written in another way{f' ({why})' if why else ''}; choose another --out, or delete it"
        )
    if known != wanted:
        write_json(passport_path(out), wanted)
    return there


def _kept(out: Path, there: bool, videos: Mapping[str, Path]) -> set[str]:
    """Videos whose lines are of these very files; the lines of others that were given are removed."""
    if not there:
        return set()
    with out.open("r+b") as file:  # a line that a killed command has begun
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
    if not whole:
        return set()
    found = read_captions(out)
    given = {name: found[name] for name in videos if name in found}
    stale = {name for name in given if not is_file(videos[name]) or found[name].source != sha256(videos[name])}
    if stale:
        for name in sorted(stale):
            logger.info("%s: has changed since it was captioned; captioning it again", videos[name])
        lines = [line for line in out.read_text(encoding="utf-8").split("\n") if line.strip()]
        with atomic(out) as temporary:
            kept = [line for line in lines if normal(json.loads(line)["video"]) not in stale]
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return set(given) - stale


def _append(out: Path, line: dict[str, object]) -> None:
    """Add a line in one write.

    Raises:
        WsvadError: the disk is full, or it cannot be written here.
    """
    content = (json.dumps(line) + "\n").encode()  # ASCII: no other ends of lines, nothing half
    try:
        with out.open("ab", buffering=0) as file:
            begun = file.tell()
            if file.write(content) != len(content):
                file.truncate(begun)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(error, out) from error
