"""Where nothing moves, found without decoding the video: by its key frames, and by how many bytes the others take.

Two key frames that follow each other show what has come, gone or moved meanwhile. They are compared in `BLOCKS`, less
what all of the picture changed by, against how much each block changes anyway: sensor noise, rain, a tree. What begins
and ends between two key frames costs bytes: packets of half a second are compared with those of the minutes around.

It cannot see what neither shows: something that passes between two key frames of a stream whose packets are kept at one
size, so such a stream with key frames further apart than `BLIND` is not judged; something that takes less than half as
many bytes again as usual, or more than usual for less than half a second; and what is as small as the noise. Who lies
still after a fall is quiet: the fall is not.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from wsvad.video.packets import Irregular, Packets, read_packets
from wsvad.video.pictures import Pictures
from wsvad.video.reader import open_container

GATE = 2
"""Version of all that decides; a passport holds it."""
SIZE = (160, 120)
BLOCK = 5
BLOCKS = (SIZE[1] // BLOCK, SIZE[0] // BLOCK)
APART = 2
"""Seconds between two key frames that are compared, at least."""
FEWEST = 12
"""Key frames to be compared, at least: fewer do not tell noise from motion."""
FARTHEST = 20
"""Seconds between them, at most."""
BLIND = 4
"""The same where packets are kept at one size."""
TOGETHER = 512
"""Key frames by which noise is judged: it changes with the light."""
ALONE, BESIDE = 10.0, 7.0
"""Deviations of its noise by which one block moves, and by which it does if one beside it does too."""
LEAST = 1.5
"""Grey levels below which nothing moves."""
RAIN = 1.5
"""Grey levels that the noise of all blocks may grow to from one picture to another, as it does when it rains."""
NOISIEST = 1.5
"""Grey levels of noise of half of the blocks, above which it is none: all of the picture moves, as of a shaking camera.
A sensor at night has a third of it in the mean of a block."""
NOISIER = 4.0
"""The noise of a block is at most so many times that of the others: what always moves is no noise."""
CLOCK = 0.05
"""Share of the picture in which a time may be shown: as small a place that changes from nearly each picture to the next
is left to the packets, and so are the digits beside it, `DIGITS` blocks on each side."""
DIGITS = (1, 8)
"""Rows and columns of blocks."""
WINDOW = 0.5
"""Seconds of packets that are counted together."""
AROUND = 60.0
"""Seconds on each side that they are compared with."""
FAR, NEXT = 5.0, 2.0
"""Deviations of what is usual above which packets take more, if those of the window before or after take so much more,
too: a tree that sways costs a packet now and then, what passes costs several."""
MORE, OF_A_KEY = 1.3, 1 / 150
"""Times as many bytes as usual, and more bytes as a share of a key frame's, below which nothing moves: pictures that
show nothing new take next to none."""
MARGIN = 1.0
"""Seconds before and after what packets find that are not quiet either. What pictures find begins and ends with one
that is as the one before or after it, seconds from what moves as a rule."""
_FEW = f"it has fewer than {FEWEST} key frames, {APART} s apart, to tell noise from motion"


def moving(path: Path) -> tuple[Packets, np.ndarray]:
    """The packets of a video, and `(F,)` bool: in which of its frames something may move.

    Raises:
        Irregular: only decoding it would say.
        WsvadError: as `VideoReader`.
    """
    looks, stamps = list[np.ndarray](), list[int]()

    def look(picture: av.VideoFrame, pictures: Pictures) -> None:
        base = picture.time_base
        if picture.pts is None or base is None or (stamps and (picture.pts - stamps[-1]) * base < APART):
            return
        stamps.append(picture.pts)
        grey = pictures.array(picture, SIZE, "gray").reshape(BLOCKS[0], BLOCK, BLOCKS[1], BLOCK)
        looks.append(grey.mean((1, 3), dtype=np.float32).astype(np.float16))

    refuse_short(path)
    packets = read_packets(path, look)
    frames = np.searchsorted(packets.stamps, np.array(stamps, np.int64))
    _check(packets, frames)
    seen = np.zeros(len(packets.stamps), bool)
    for first, last, moves in zip(frames[:-1], frames[1:], by_pictures(np.stack(looks)), strict=True):
        seen[first : last + 1] |= moves
    between = unseen(by_packets(packets.sizes, packets.key_frames, packets.info.rate), frames, seen)
    found = seen | _widened(between, round(MARGIN * packets.info.rate))
    found[frames[-1] :] = True  # nothing comes after it to compare with
    found[: frames[0]] = True
    return packets, found


def refuse_short(path: Path) -> None:
    """Before it is read, as far as its header says how long it is."""
    with open_container(path) as container:
        length = container.duration
    if length is not None and 0 < length < FEWEST * APART * av.time_base:
        raise Irregular(_FEW)


def _check(packets: Packets, frames: np.ndarray) -> None:
    if len(frames) < FEWEST:
        raise Irregular(_FEW)
    farthest = float(np.diff(packets.stamps[frames]).max() * packets.time_base)
    if farthest > FARTHEST:
        raise Irregular(f"its key frames are up to {farthest:.0f} s apart, more than {FARTHEST}")
    of_groups = np.add.reduceat(packets.sizes, np.sort(packets.key_frames))[:-1]
    each = of_groups / np.maximum(np.diff(np.sort(packets.key_frames)), 1)
    if farthest > BLIND and each.std() < 0.03 * each.mean():
        raise Irregular(
            f"its bit rate is constant, so only key frames tell whether something moves, and they are {farthest:.0f} s "
            f"apart, more than {BLIND}"
        )


def by_pictures(looks_KRC: np.ndarray) -> np.ndarray:
    """`(K − 1,)` bool, whether something moved from one picture to the next.

    Args:
        looks_KRC: block means, grey levels.
    """
    found = []
    for start in range(0, len(looks_KRC) - 1, TOGETHER):
        some = looks_KRC[max(0, min(start, len(looks_KRC) - FEWEST)) : start + TOGETHER + 1].astype(np.float32)
        change = np.diff(some, axis=0)
        # What all of the picture changed by, in proportion to how bright it is: the light.
        light = np.median(change / (some[:-1] + 16), axis=(1, 2), keepdims=True)
        change = np.abs(change - light * (some[:-1] + 16))
        noise = np.quantile(change, 0.25, axis=0) / 0.3186
        usual = float(np.median(noise))
        most = max(NOISIER * usual, LEAST / ALONE)
        clock, noise = _clock(noise > most), np.clip(noise, LEAST / ALONE, most)
        many = np.quantile(change / noise, 0.9, axis=(1, 2), keepdims=True) / 1.645  # times as much in this picture
        strong = change / np.maximum(noise, np.minimum(noise * many, RAIN))
        strong[change < LEAST] = 0
        strong[:, clock] = 0
        near = strong > BESIDE
        pairs = (near[:, :, 1:] & near[:, :, :-1]).any((1, 2)) | (near[:, 1:] & near[:, :-1]).any((1, 2))
        moves = (strong > ALONE).any((1, 2)) | pairs | (usual > NOISIEST)
        found.append(moves[-min(TOGETHER, len(looks_KRC) - 1 - start) :])
    return np.concatenate(found)


def _clock(always: np.ndarray) -> np.ndarray:
    """Where a time is shown in the picture, of where something changes all the time; both `BLOCKS` bool."""
    if not 0 < always.mean() < CLOCK:
        return np.zeros_like(always)
    rows, columns = (2 * by + 1 for by in DIGITS)
    return cv2.dilate(always.astype(np.uint8), np.ones((rows, columns), np.uint8)).astype(bool)


def by_packets(sizes: np.ndarray, keys: np.ndarray, rate: Fraction) -> np.ndarray:
    """`(F,)` bool, whether packets take more bytes than those at the same place after a key frame usually do.

    Args:
        sizes: bytes of each frame.
        keys: frames that take more anyway, the first of them 0.
    """
    length, keys = max(1, round(WINDOW * rate)), np.sort(keys)
    place = np.arange(len(sizes)) - keys[np.searchsorted(keys, np.arange(len(sizes)), side="right") - 1]
    starts = np.flatnonzero(place % length == 0)
    between = place > 0
    counts = np.add.reduceat(between.astype(np.int64), starts)
    each = np.add.reduceat(np.where(between, sizes, 0), starts) / np.maximum(counts, 1)
    least = OF_A_KEY * float(np.median(sizes[keys]))
    at = place[starts] // length
    at = np.minimum(at, max(1, round(float(np.median(np.diff(keys, append=len(sizes)))) / length) - 1))
    more, above = np.zeros(len(starts), bool), np.zeros(len(starts))
    for one in np.unique(at):
        here = np.flatnonzero((at == one) & (counts > 0))
        if len(here) >= FEWEST:
            level = np.log2(each[here] + least)
            usual, spread = _usual(level, starts[here], round(AROUND * rate))
            most = np.exp2(usual) - least
            above[here] = (level - usual) / np.maximum(spread, 1e-9)
            more[here] = (above[here] > FAR) & (each[here] > np.maximum(MORE * most, most + least))
    if length > 1:  # at a frame or two a second what passes may be in one packet
        beside = np.append(above[1:], 0) > NEXT
        beside[1:] |= above[:-1] > NEXT
        more &= beside
    return np.repeat(more, np.diff(starts, append=len(sizes)))


def _usual(level: np.ndarray, frames: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray]:
    """What is usual at each place, and its deviation, by the lower two thirds of the values around it: motion adds."""
    usual, spread = np.empty_like(level), np.empty_like(level)
    step = max(1, len(level) * around // (4 * max(1, int(frames[-1]))))
    for place in range(0, len(level), step):
        first, last = np.searchsorted(frames, (frames[place] - around, frames[place] + around))
        first, last = max(0, min(first, place - FEWEST)), max(last + step, place + FEWEST)
        low, middle, high = _at(np.sort(level[first:last]), (0.1, 0.4, 0.7))
        usual[place : place + step] = middle
        spread[place : place + step] = max((middle - low) / 1.028, (high - middle) / 0.778)  # as if it were normal
    return usual, spread


def _at(rising: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Quantiles of few values, as `np.quantile` has them, in a tenth of its time."""
    places = [share * (len(rising) - 1) for share in shares]
    return np.interp(places, np.arange(len(rising)), rising).tolist()


def unseen(found: np.ndarray, looks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """`found` less the stretches that last from one look to the next and longer, in which no two looks differ: weather,
    not motion.

    Args:
        found: `(F,)` bool, by packets.
        looks: frames of the pictures that are compared.
        seen: `(F,)` bool, by pictures.
    """
    kept, borders = found.copy(), np.flatnonzero(np.diff(found, prepend=False, append=False))
    for start, end in borders.reshape(-1, 2).tolist():
        inside = np.searchsorted(looks, end) - np.searchsorted(looks, start)
        if inside > 1 and not seen[start:end].any():
            kept[start:end] = False
    return kept


def _widened(found: np.ndarray, by: int) -> np.ndarray:
    """With so many on each side."""
    total = np.concatenate([[0], np.cumsum(found)])
    place = np.arange(len(found))
    return total[np.minimum(place + by + 1, len(found))] > total[np.maximum(place - by, 0)]
