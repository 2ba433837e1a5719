"""Where two sets of features differ: lengths, widths, crops and their order, scale, shift, and what the pixels were.

A, the reference, and B, the one asked about, are compared video by video: lengths of all that both have, numbers of a
sample. Snippets with NaN are passed over.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsvad.doctor.finding import Finding, concerning

VIDEOS = 24
"""Videos whose numbers are compared, spread over the list; lengths are compared of all."""
SNIPPETS = 64
"""Snippets, from the beginning, of which the numbers are compared."""
SHIFTS = (0, 1, -1, 2, -2)
"""Snippets by which one set may be ahead of the other."""
EQUAL = 1e-4
"""Relative difference up to which two sets are the same."""
HALF = 3e-3
"""The same, where one went through half precision."""
ALIKE = 0.3
"""Correlation from which two sets are of the same frames and network."""
PIXELS = ("pixel range", "colour order")
"""Kinds of finding that guess at what the pixels were, from numbers alone."""

Reader = Callable[[str], np.ndarray]
"""Video → `(C, T, D)` float32, one crop where there are none."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One video of both sets, brought together."""

    video: str
    a: np.ndarray
    """`(C, T, D)`, the same shape as `b`."""
    b: np.ndarray
    order: tuple[int, ...]
    """Which crop of B is each crop of A; crop by crop in order where they are the same."""
    shift: int
    """Snippet t of A is snippet t + shift of B."""


def compare(
    videos: Sequence[str], a: Reader, b: Reader, shapes: Mapping[str, tuple[tuple[int, ...], ...]]
) -> list[Finding]:
    """Findings about B beside A.

    Args:
        videos: those that both have, at least one.
        a, b: how to read them.
        shapes: video → its `(C, T, D)` in A and in B.

    Returns:
        `same` alone if they do not differ.
    """
    findings = _shapes(videos, shapes)
    if any(finding.kind == "another network" for finding in findings):
        return findings
    chosen = [videos[i] for i in np.unique(np.linspace(0, len(videos) - 1, VIDEOS).astype(int))]
    pairs = [_together(video, a(video), b(video)) for video in chosen]
    findings += [*_order(pairs), *_shift(pairs), *_values(pairs)]
    return [finding for finding in findings if finding.kind != "same"] or findings


def _shapes(videos: Sequence[str], shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> list[Finding]:
    first = videos[0]
    (crops_a, _, width_a), (crops_b, _, width_b) = shapes[first]
    if width_a != width_b:
        return [
            Finding(
                kind="another network", level="wrong", message=f"{first}: {width_b} wide, the other set {width_a}",
                remedy="features of two networks cannot be compared, nor can a method trained on one use the other",
            )
        ]  # fmt: skip
    findings = []
    if crops_a != crops_b:
        findings.append(
            Finding(
                kind="crop count", level="wrong", message=f"{first}: {crops_b} crops, the other set has {crops_a}",
                remedy="use the same number for training and testing; averaging fewer crops changes the scores",
            )
        )  # fmt: skip
    differ = {video: shapes[video][1][1] - shapes[video][0][1] for video in videos}
    longer = Counter(difference for difference in differ.values() if difference)
    if longer:
        usual, count = longer.most_common(1)[0]
        members = tuple(video for video, difference in differ.items() if difference)
        more = "longer" if usual > 0 else "shorter"
        findings.append(
            Finding(
                kind="lengths", level="wrong", videos=members, repair="length" if set(longer) <= {1, -1} else None,
                how={video: shapes[video][0][1] for video in members},
                message=f"{members[0]}: {shapes[members[0]][1][1]:,} snippets, in the other set "
                f"{shapes[members[0]][0][1]:,}; {count:,} of {len(videos):,} videos are {abs(usual)} {more}",
                remedy="the extractors treat a video's last frames differently" if abs(usual) == 1 else
                "other frame rate, stride or videos",
            )
        )  # fmt: skip
    return findings


# -------------------------------------------------------------------------------------------------- crops and shift


def _together(video: str, a: np.ndarray, b: np.ndarray) -> Pair:
    """The shift and the order of crops under which a video's two versions resemble each other most."""
    bad_a, bad_b = (~np.isfinite(x).all(axis=-1) for x in (a, b))
    a, b = np.where(bad_a[..., None], 0, a), np.where(bad_b[..., None], 0, b)
    crops = min(len(a), len(b))
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    likeness = {shift: _likeness(*_overlap(mean_a, mean_b, shift)) for shift in SHIFTS}
    shift = max(likeness, key=lambda s: likeness[s] - (0.02 if s else 0))
    a, b = _overlap(a, b, shift)
    order = tuple(range(crops))
    if crops > 1 and len(a) == len(b):
        table = np.array([[_likeness(one, other) for other in b] for one in a])
        best = tuple(int(i) for i in table.argmax(axis=1))
        if len(set(best)) == crops and table[range(crops), best].mean() > table.diagonal().mean() + 1e-4:
            order = best
    a, b = a[:crops], b[list(order)]
    # A snippet that was broken in one set is all 0 there; it says nothing about the other.
    whole = a.any(axis=-1, keepdims=True) & b.any(axis=-1, keepdims=True)
    return Pair(video=video, a=a * whole, b=b * whole, order=order, shift=shift)


def _overlap(a: np.ndarray, b: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Snippets of `(…, T, D)` that both have when B is `shift` ahead."""
    a = a[..., max(0, -shift) :, :]
    b = b[..., max(0, shift) :, :]
    common = min(a.shape[-2], b.shape[-2])
    return a[..., :common, :], b[..., :common, :]


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two `(T, D)` without each dimension's mean; of the vectors themselves for one snippet."""
    if len(a) > 1:
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float((a * b).sum() / norms) if norms else 0.0


def _order(pairs: Sequence[Pair]) -> list[Finding]:
    orders = Counter(pair.order for pair in pairs if len(pair.order) > 1)
    if not orders:
        return []
    order, count = orders.most_common(1)[0]
    if order == tuple(range(len(order))) or 2 * count <= len(pairs):
        return []
    half = len(order) // 2
    mirrored = order == (*range(half, len(order)), *range(half))
    known = ": the mirrored half comes first" if mirrored else ""
    known = ": the centre is third, as in the extractor of UR-DMU, not first, as released" if order[0] == 2 else known
    return [
        Finding(
            kind="crop order", level="wrong", repair="crops", how={"order": order},
            message=f"crops 0, 1, 2 … of the other set are {', '.join(map(str, order))} here{known}",
            remedy="harmless where crops are averaged; for a method that uses one of them (VadCLIP), --repair "
            "reorders them",
        )
    ]  # fmt: skip


def _shift(pairs: Sequence[Pair]) -> list[Finding]:
    shift, count = Counter(pair.shift for pair in pairs).most_common(1)[0]
    if not shift or 2 * count <= len(pairs):
        return []
    word = "late" if shift > 0 else "early"
    return [
        Finding(
            kind="shift", level="wrong",
            message=f"snippet t of the other set is snippet t{shift:+d} here, in {count} of {len(pairs)} videos "
            f"compared: "
            f"{abs(shift)} too {word}",
            remedy="the extractors start at different frames; scores would be shifted by the same amount",
        )
    ]  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- values


def _values(pairs: Sequence[Pair]) -> list[Finding]:
    """What makes A of B: nothing, a factor, unit length, a factor and an offset a dimension, or other pixels."""
    a = np.concatenate([pair.a.reshape(-1, pair.a.shape[-1]) for pair in pairs]).astype(np.float64)
    b = np.concatenate([pair.b.reshape(-1, pair.b.shape[-1]) for pair in pairs]).astype(np.float64)
    if _residual(a, b) < HALF:
        exact = "to the last digit" if (a == b).all() else f"within {_residual(a, b):.0e}"
        odd = [pair.video for pair in pairs if _residual(pair.a, pair.b) > HALF]
        rest = [_odd(odd, len(pairs))] if odd else []
        return [Finding(kind="same", level="fine", message=f"the numbers are equal, {exact}"), *rest]
    factor = float((a * b).sum() / (b * b).sum()) if b.any() else 0.0
    if _residual(a, factor * b) < HALF:
        return [
            Finding(
                kind="scale", level="wrong", repair="scale", how={"factor": factor},
                message=f"the numbers are {1 / factor:.4g} times the other set's",
                remedy="the last step of extraction differs (a scale factor, or a sum instead of a mean); "
                "--repair removes the factor",
            )
        ]  # fmt: skip
    norms_a, norms_b = (np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    if _residual(a / np.maximum(norms_a, 1e-12), b / np.maximum(norms_b, 1e-12)) < HALF:
        which = "here" if norms_b.std() < norms_a.std() else "in the other set"
        return [
            Finding(
                kind="normalised", level="wrong", message=f"the vectors {which} have unit length, the others do not",
                remedy="the original lengths cannot be recovered; use the set that has them (RTFM and MGFN "
                "learn from them)",
            )
        ]  # fmt: skip
    return [_transformed(a, b, pairs)]


def _transformed(a: np.ndarray, b: np.ndarray, pairs: Sequence[Pair]) -> Finding:
    likeness = float(np.mean([_likeness(pair.a.mean(axis=0), pair.b.mean(axis=0)) for pair in pairs]))
    centred_a, centred_b = a - a.mean(axis=0), b - b.mean(axis=0)
    slope = (centred_a * centred_b).sum(axis=0) / np.maximum((centred_b**2).sum(axis=0), 1e-12)
    if _residual(centred_a, slope * centred_b) < HALF:
        return Finding(
            kind="standardised", level="wrong",
            message="each dimension is scaled and shifted differently: one of the sets was standardised",
            remedy="use the set that is not standardised; wsvad can standardise it in training (--normalise)",
        )  # fmt: skip
    odd = [pair.video for pair in pairs if _residual(pair.a, pair.b) > HALF]
    if 2 * len(odd) <= len(pairs):
        return _odd(odd, len(pairs))
    if likeness < ALIKE:
        return Finding(
            kind="unrelated", level="wrong",
            message=f"correlation {likeness:.2f}: same width, but from another network or other videos",
            remedy="a method trained on one cannot use the other; check backbone and weights",
        )  # fmt: skip
    ratio = float(np.median(np.linalg.norm(centred_b, axis=1) / np.maximum(np.linalg.norm(centred_a, axis=1), 1e-12)))
    if abs(np.log(ratio)) > np.log(1.25):
        return Finding(
            kind="pixel range", level="wrong",
            message=f"correlation {likeness:.2f}, spread {ratio:.2f} times the other set's: the same network, "
            f"but pixels in a different range",
            remedy="extract with the mean and scale of the other set ([−1, 1] against mean 114.75, std 57.375 "
            "is the usual mistake)",
        )  # fmt: skip
    return Finding(
        kind="colour order", level="wrong",
        message=f"correlation {likeness:.2f}, equal spread: the same network on the same frames, but not the "
        f"same pixels",
        remedy="usually red and blue are swapped (OpenCV reads BGR); otherwise check resizing and the decoder",
    )  # fmt: skip


def _odd(videos: Sequence[str], total: int) -> Finding:
    return Finding(
        kind="some videos", level="wrong", videos=tuple(videos),
        message=f"the numbers of {concerning(videos, total)} differ",
        remedy="these files are from another release, or have a wrong name",
    )  # fmt: skip


def _residual(a: np.ndarray, b: np.ndarray) -> float:
    """Size of the difference relative to A."""
    return float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-12))
