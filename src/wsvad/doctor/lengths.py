"""Which convention the lengths of features follow: tail dropped or padded, an extra clip, another frame rate."""

from collections.abc import Mapping, Sequence

import numpy as np

from wsvad.doctor.finding import Finding, concerning
from wsvad.video.clock import SNIPPET, TAILS

KINDS = {
    "⌊F/16⌋": ("tail dropped", "the frames that remain are dropped, as in the published truth of most datasets"),
    "⌈F/16⌉": ("tail padded", "the last, shorter snippet is kept or padded"),
    "⌊F/16⌋+1": ("extra clip", "there is one extra clip at the end of every video"),
    "⌊(F−1)/16⌋": ("frame lost", "one frame is lost to optical flow, as in the features of XD-Violence"),
}
"""Kind and words of each convention."""


def check_lengths(
    snippets: Mapping[str, int], frames: Mapping[str, int | None], *, ours: bool = False
) -> list[Finding]:
    """Which convention most videos follow, and which videos do not.

    Args:
        snippets: video → T.
        frames: video → F as annotated, None where that is not known.
        ours: made by `wsvad extract`, which keeps a shorter last snippet and knows its frames.
    """
    found = {video: t for video, t in snippets.items() if frames.get(video)}
    if not found:
        return [
            Finding(
                kind="lengths unknown", level="note",
                message="no annotated frame counts, or features with their own timing: lengths cannot be checked",
                remedy="add frames.csv (video,frames) to the dataset's folder",
            )
        ]  # fmt: skip
    counts = {video: frames[video] or 0 for video in found}
    fits = {name: sum(found[v] == rule(n) for v, n in counts.items()) for name, rule in TAILS.items()}
    best = max(fits, key=lambda name: fits[name])
    if 2 * fits[best] < len(found):
        return [_rate(found, counts)]
    rule = TAILS[best]
    off = {video: m - rule(counts[video]) for video, m in found.items() if m != rule(counts[video])}
    also = [name for name in TAILS if name != best and fits[name] == fits[best]]
    whole = {} if ours else {video: n for video, n in counts.items() if abs(off.get(video, 0)) <= 1}
    convention = _convention(best, fits[best], also, whole, len(found))
    findings = [convention]
    for kind, members in (
        ("off by one", [video for video, d in off.items() if abs(d) == 1]),
        ("length", [video for video, d in off.items() if abs(d) > 1]),
    ):
        if members:
            first = members[0]
            findings.append(
                Finding(
                    kind=kind, level="wrong", videos=tuple(members), repair="length" if kind == "off by one" else None,
                    how={video: convention.how.get(video, rule(counts[video])) for video in members},
                    message=f"{first}: {found[first]:,} snippets for {counts[first]:,} frames, where {best} gives "
                    f"{rule(counts[first]):,}; {concerning(members, len(found))}",
                    remedy="--repair drops or repeats the last snippet" if kind == "off by one" else
                    "the file is truncated or belongs to another video; extract it again",
                )
            )  # fmt: skip
    return findings


def _convention(best: str, fits: int, also: Sequence[str], counts: Mapping[str, int], total: int) -> Finding:
    """What most videos follow; `counts` are the frames of those that are not cut."""
    kind, words = KINDS[best]
    floor = TAILS["⌊F/16⌋"]
    too_long = {video: floor(n) for video, n in counts.items() if best in ("⌈F/16⌉", "⌊F/16⌋+1") and floor(n)}
    others = f" ({' and '.join(also)} fits as well)" if also else ""
    return Finding(
        kind=kind,
        level="note" if too_long else "fine",
        message=f"lengths follow {best} in {fits:,} of {total:,} videos{others}: {words}",
        remedy="the truth takes the length of the features; --repair drops the last snippet, for lengths of ⌊F/16⌋"
        if too_long
        else "",
        repair="length" if too_long else None,
        how=too_long,
    )


def _rate(found: Mapping[str, int], counts: Mapping[str, int]) -> Finding:
    """Lengths that follow no convention: of another frame rate or stride if all are off by one factor."""
    # A length has lost half a snippet to rounding, on average.
    ratio = SNIPPET * (sum(found.values()) + len(found) / 2) / sum(counts.values())
    first = next(iter(found))
    agree = [abs(found[v] - ratio * n / SNIPPET) <= max(2.0, 0.02 * found[v]) for v, n in counts.items()]
    seen = f"{first}: {found[first]:,} snippets for {counts[first]:,} frames"
    if np.mean(agree) >= 0.8 and abs(ratio - 1) > 0.02:
        return Finding(
            kind="frame rate",
            level="wrong",
            videos=tuple(found),
            message=f"{seen}; all lengths are {ratio:.2f} times what 16 frames a snippet give, as if 30 frames "
            f"a second "
            f"had been read at {30 * ratio:.3g}, or with a stride of {SNIPPET / ratio:.3g} frames",
            remedy="extract at the frame rate of the annotation, 16 frames a snippet; --repair cannot restore frames",
        )
    return Finding(
        kind="length",
        level="wrong",
        videos=tuple(found),
        message=f"{seen}; lengths follow no known convention",
        remedy="features and annotation belong to different videos, or names are mixed up",
    )
