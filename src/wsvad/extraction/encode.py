"""Encode a video into its streams: decoded once for all encoders, snippet by snippet, in bounded memory."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.encoders.encoder import Encoder
from wsvad.errors import WsvadError
from wsvad.extraction.quiet import sources
from wsvad.extraction.snippets import Batches, Encoders, Rows
from wsvad.extraction.sound import apart, hear
from wsvad.extraction.spent import Spent
from wsvad.features.store import Passport, StoredFeatures
from wsvad.files import sha256
from wsvad.storage import as_now, is_remote, place
from wsvad.video.clock import SNIPPET
from wsvad.video.decoding import Decode
from wsvad.video.packets import Irregular, all_of, frames_of, read_packets
from wsvad.video.quiet import GATE, moving
from wsvad.video.reader import DECODER, Frame, VideoReader
from wsvad.video.resample import Resampler, resampling_rate
from wsvad.video.times import filmed_of


@dataclass
class Part:
    """What was encoded of a video so far: it is gone on from there, and grows while the video is encoded."""

    rows: dict[str, list[np.ndarray]]
    """Stream → a row `(D,)` or `(C, D)` of each snippet from the first on."""

    @property
    def snippets(self) -> int:
        """How many snippets all streams have."""
        return min(map(len, self.rows.values()), default=0)


def encode_video(
    path: Path | str,
    encoders: Encoders,
    on_frames: Callable[[int], None] | None = None,
    *,
    on_open: Callable[[VideoReader], None] | None = None,
    threads: int = 0,
    raw_rate: Fraction | float | None = None,
    rate: Fraction | float | None = None,
    hashed: bool = True,
    part: Part | None = None,
    at_once: int = 1,
    spent: Spent | None = None,
    gate: bool = False,
    decode: Decode = "exact",
    on_whole: Callable[[str], None] = lambda _: None,
) -> dict[str, StoredFeatures]:
    """Encode a video file into all its streams in one pass.

    Args:
        path: the video.
        encoders: stream name → encoders, joined on the feature axis in this order.
        on_frames: called after each snippet with the number of frames that were read since the last call.
        on_open: called once, before that, with the video, of which it reads nothing.
        threads, raw_rate, decode: see `VideoReader`.
        rate: frames per second that it is resampled to (`video.resample`); None for its own.
        hashed: whether passports say of which file they are, for which it is read once more; what is not kept needs
            none.
        part: what was encoded of this very file by these encoders before; its frames are decoded and not encoded.
        at_once: snippets that are encoded together, while the next are read.
        spent: counts where the time goes.
        gate: whether stretches in which nothing moves are left out (`video.quiet`); not with `rate` or `part`.
        on_whole: called with the reason where that cannot be known, and the video is encoded whole.

    Returns:
        Stream name → features `(T, D)` or `(C, T, D)` float32 with T = ⌈F / 16⌉ (of the frames after resampling), the
        T+1 edges of the snippets in seconds, how much of each was filmed, and the passport.

    Raises:
        WsvadError: as `VideoReader`; or an encoder breaks its word.
    """
    path = as_now(place(path))
    # First, so that what replaces it meanwhile is told by its hash. An object is hashed as it is read, and has to be
    # the same at the end.
    source = _hash(path) if hashed and not is_remote(path) else None
    seen, heard = apart(encoders)
    with VideoReader(path, threads=threads, raw_rate=raw_rate, decode=decode) as video:
        if on_open is not None:
            on_open(video)
        encoded, told = None, _Told(on_frames or (lambda _: None))
        if gate:
            encoded = _encode_moving(path, seen, told, at_once, spent, on_whole, decode)
        elif decode == "fast" and not (rate or heard):
            encoded = _encode_few(path, seen, told, part, at_once, spent)
        if encoded is None:
            told.read = 0
            encoded = _encode_frames(video, seen, told, part, at_once, spent, _resampler(rate, path))
    middles = [edge + filmed / 2 for edge, filmed in zip(encoded.edges[:-1], encoded.filmed, strict=True)]
    with (spent or Spent()).on("network"):
        encoded.rows.update(hear(path, heard, middles, encoded.start or video.start, video.offsets))
    if hashed and is_remote(path):
        source = _hash(path)
    facts = {"frame_rate": str(video.info.rate), "source": source, "damaged": video.damaged}
    return _stored(encoders, encoded, rate=rate, gate=GATE if gate else 0, decode=decode, **facts)


@dataclass
class _Told:
    """Tells how many frames were read. Those of a video that is read again from its beginning count once."""

    on_frames: Callable[[int], None]
    said: int = 0
    read: int = 0

    def __call__(self, count: int) -> None:
        self.read += count
        if self.read > self.said:
            self.on_frames(self.read - self.said)
            self.said = self.read


def _hash(path: Path) -> str | None:
    """None of what is no file, or cannot be read, which opening it says."""
    try:
        return sha256(path) if path.is_file() else None
    except PermissionError:
        return None


def encode_frames(
    frames: Iterable[Frame],
    encoders: Encoders,
    on_frames: Callable[[int], None] | None = None,
    *,
    rate: Fraction | float | None = None,
    at_once: int = 1,
    spent: Spent | None = None,
    decode: Decode = "exact",
) -> dict[str, StoredFeatures]:
    """Encode frames from memory or of any other source, in order; as `encode_video`.

    Args:
        decode: how they were decoded, for passports.

    Raises:
        WsvadError: there are none; or an encoder breaks its word.
    """
    encoded = _encode_frames(frames, encoders, on_frames, None, at_once, spent, _resampler(rate))
    lasts = encoded.edges[-1] - encoded.edges[0]
    own = Fraction(encoded.frames / lasts).limit_denominator(1001) if lasts > 0 else None
    return _stored(encoders, encoded, rate=rate, decode=decode, frame_rate=str(own) if own else None)


def encode_pictures(
    frames: Iterable[Frame],
    encoders: Encoders,
    on_frames: Callable[[int], None] | None = None,
    at_once: int = 1,
    spent: Spent | None = None,
) -> dict[str, list[np.ndarray]]:
    """The rows of each stream alone, of frames whose times do not matter."""
    return _encode_frames(frames, encoders, on_frames, None, at_once, spent).rows


def encode_timed(
    frames: Iterable[Frame], encoders: Encoders, part: Part, *, rate: Fraction, source: str, decode: Decode
) -> dict[str, StoredFeatures]:
    """As `encode_video`, where all rows are there and only the times of its frames are to be found.

    Args:
        frames: all of them; their pictures are not looked at.
        rate, source, decode: what the passport says of the video: its frame rate, the hash of the file, and how it was
            decoded.
    """
    encoded = _encode_frames(frames, encoders, None, part)
    return _stored(encoders, encoded, rate=None, decode=decode, frame_rate=str(rate), source=source)


def _resampler(rate: Fraction | float | None, called: Path | str = "frames") -> Resampler | None:
    exact = resampling_rate(rate)
    return None if exact is None else Resampler(exact, str(called))


@dataclass(frozen=True, kw_only=True)
class _Encoded:
    """What frames became."""

    rows: dict[str, list[np.ndarray]]
    """Of each stream, T."""
    frames: int
    """F, of the source."""
    edges: list[float]
    """T + 1, the seconds at which snippets begin and the last one ends."""
    borders: list[int] | None
    """T + 1, the same in frames of the source, where it was resampled."""
    filmed: list[float]
    """T, the seconds of video in each snippet."""
    quiet: np.ndarray | None = None
    """`(T,)`, which snippets were not encoded; None without a gate."""
    start: Fraction | None = None
    """Seconds on the file's own clock at which times are 0, where its reader did not find them out."""


def _encode_frames(
    frames: Iterable[Frame],
    encoders: Encoders,
    on_frames: Callable[[int], None] | None,
    part: Part | None = None,
    at_once: int = 1,
    spent: Spent | None = None,
    resampler: Resampler | None = None,
) -> _Encoded:
    part, spent = part or Part({}), spent or Spent()
    done, rows = part.snippets, part.rows
    for stream in encoders:
        rows[stream] = rows.get(stream, [])[:done]
    edges, film, borders = list[float](), list[Fraction](), list[int]()
    count, encoded, reported, last = 0, done, 0, None

    def taken() -> int:
        return count if resampler is None else resampler.taken

    def report(snippets: int) -> None:
        """So many are done."""
        nonlocal reported
        until = borders[snippets] if snippets < len(borders) else taken()
        if on_frames is not None and until > reported:
            on_frames(until - reported)
        reported = max(reported, until)

    def keep(finished: Iterable[Rows]) -> None:
        nonlocal encoded
        for each in finished:
            for stream, row in each.items():
                rows[stream].append(row)
            encoded += 1
            report(encoded)

    with Batches(encoders, at_once, spent) as batches:
        for frame in _decoded(frames if resampler is None else resampler.of(frames), spent):
            if count % SNIPPET == 0:
                edges.append(float(frame.time))
                borders.append(count if frame.own is None else frame.own)
                film.append(frame.time - frame.unfilmed)
            known = count // SNIPPET < done
            count, last = count + 1, frame
            if known:
                report(count // SNIPPET)
            else:
                keep(batches.push(frame))
        keep(batches.flush())
        report(len(borders))
    if last is None:
        raise WsvadError("there are no frames to encode")
    shown = last.time - last.unfilmed
    usual = (shown - film[0]) / (count - 1) if count > 1 else last.duration
    film.append(shown + filmed_of(last.duration, usual))  # a recorder may have stopped behind it
    return _Encoded(
        rows={stream: each[: len(edges)] for stream, each in rows.items()},
        frames=taken(),
        edges=[*edges, float(last.time + last.duration)],
        borders=None if resampler is None else [*borders, resampler.taken],
        filmed=[float(end - start) for start, end in pairwise(film)],
    )


def _encode_moving(
    path: Path,
    encoders: Encoders,
    on_frames: Callable[[int], None] | None,
    at_once: int,
    spent: Spent | None,
    on_whole: Callable[[str], None],
    decode: Decode,
) -> _Encoded | None:
    """Encode what moves, and now and then what does not; None where that cannot be told."""
    spent = spent or Spent()
    try:
        with spent.on("decode"):
            packets, moves = moving(path)
        source = sources(packets, moves)
        own = source == np.arange(len(source))
        wanted = np.repeat(own, SNIPPET)[: len(moves)]
        rows: dict[str, list[np.ndarray]] = {stream: [] for stream in encoders}
        done, reported, last = np.flatnonzero(own), 0, None

        def keep(finished: Iterable[Rows]) -> None:
            nonlocal reported
            for each in finished:
                for stream, row in each.items():
                    rows[stream].append(row)
                count = len(next(iter(rows.values())))
                until = int(done[count]) * SNIPPET if count < len(done) else len(moves)
                if on_frames is not None:
                    on_frames(until - reported)
                reported = until

        # What is left of a recording is one piece of work, however long it is; others are divided among processes.
        with Batches(encoders, at_once, spent, beside=True) as batches:
            for last in _decoded(frames_of(path, packets, wanted, decode), spent):
                keep(batches.push(last))
            keep(batches.flush())
    except Irregular as reason:
        on_whole(str(reason))
        return None
    assert last is not None
    place = np.searchsorted(done, source)
    starts = [packets.time(index) for index in range(0, len(moves), SNIPPET)]
    usual = (last.time - starts[0]) / (len(moves) - 1) if len(moves) > 1 else last.duration
    film = [*starts, last.time + filmed_of(last.duration, usual)]
    return _Encoded(
        rows={stream: [each[index] for index in place] for stream, each in rows.items()},
        frames=len(moves),
        edges=[*map(float, starts), float(last.time + last.duration)],
        borders=None,
        filmed=[float(end - start) for start, end in pairwise(film)],
        quiet=~own,
        start=packets.start,
    )


def _encode_few(
    path: Path,
    encoders: Encoders,
    on_frames: Callable[[int], None] | None,
    part: Part | None,
    at_once: int,
    spent: Spent | None,
) -> _Encoded | None:
    """Encode what reads few frames, without those that nobody asks for and no other is made from; None where all are
    asked for, or which are cannot be told by packets."""
    if len(_asked(encoders, SNIPPET)) == SNIPPET:
        return None
    spent = spent or Spent()
    try:
        with spent.on("decode"):
            packets = read_packets(path)
        count = len(packets.stamps)
        asked = np.zeros(-(-count // SNIPPET) * SNIPPET, bool).reshape(-1, SNIPPET)
        asked[:, _asked(encoders, SNIPPET)] = True
        if rest := count % SNIPPET:
            asked[-1] = np.isin(np.arange(SNIPPET), _asked(encoders, rest))
        frames = all_of(path, packets, asked.reshape(-1)[:count], "fast")
        return _encode_frames(frames, encoders, on_frames, part, at_once, spent)
    except Irregular:
        return None


def _asked(encoders: Encoders, length: int) -> list[int]:
    """Which frames of a snippet of so many some encoder reads."""
    each = {one.sampling for some in encoders.values() for one in some}
    return sorted({offset for sampling in each for offset in sampling.offsets(length)})


def _decoded(frames: Iterable[Frame], spent: Spent) -> Iterator[Frame]:
    """The same, and how long they are waited for."""
    source = iter(frames)
    while True:
        with spent.on("decode"):
            frame = next(source, None)
        if frame is None:
            return
        yield frame


def _stored(
    encoders: Encoders,
    encoded: _Encoded,
    *,
    rate: Fraction | float | None,
    gate: int = 0,
    decode: Decode,
    **per_video: Any,
) -> dict[str, StoredFeatures]:
    return {
        stream: StoredFeatures(
            features=np.stack(encoded.rows[stream], axis=-2),
            passport=passport(
                encoders[stream], rate=rate, gate=gate, decode=decode, frames=encoded.frames, **per_video
            ),
            times=np.asarray(encoded.edges),
            filmed=np.asarray(encoded.filmed),
            borders=None if encoded.borders is None else np.asarray(encoded.borders, np.int64),
            quiet=encoded.quiet,
        )
        for stream in encoders
    }


def passport(
    encoders: tuple[Encoder, ...],
    *,
    rate: Fraction | float | None = None,
    gate: int = 0,
    decode: Decode = "exact",
    **per_video: Any,
) -> Passport:
    """The passport of a stream that these encoders make together: names and weights joined by "+", settings nested
    by encoder where there are several; of those that call themselves alike, the second one as "NAME 2".

    Args:
        rate: frames per second that videos are resampled to; None for their own.
        gate: version of the gate that left quiet stretches out; 0 without.
        decode: how videos are decoded.
        per_video: the passport's fields below the line.
    """
    exact = resampling_rate(rate)
    each = [encoder.passport() for encoder in encoders]
    weights = [str(one.get("weights") or "") for one in each]
    names = [str(one["encoder"]) for one in each]
    settings = {
        f"{name} {count}" if (count := names[: i + 1].count(name)) > 1 else name: one.get("settings", {})
        for i, (name, one) in enumerate(zip(names, each, strict=True))
    }
    return Passport(
        encoder="+".join(names),
        width=sum(encoder.width for encoder in encoders),
        widths=tuple(encoder.width for encoder in encoders) if len(encoders) > 1 else (),
        weights="+".join(weights) if any(weights) else None,
        # Through JSON, as it will be read back: a tuple that was written is a list.
        settings=json.loads(json.dumps(settings if len(each) > 1 else each[0].get("settings", {}))),
        window=SNIPPET,
        decoder=DECODER,
        rate=None if exact is None else str(exact),
        gate=gate,
        decode=decode,
        **per_video,
    )
