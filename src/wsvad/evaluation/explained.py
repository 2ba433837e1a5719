"""What the reader of a measurement should know: why a metric cannot be had, and intervals that no video is long enough
for. Sentences for the terminal."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import isnan

from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.evaluation.curves import Curve
from wsvad.evaluation.vocabulary import ALERT_KEYS, ONLINE, words_for
from wsvad.metrics.detection import IOUS
from wsvad.metrics.interval import Interval
from wsvad.video.clock import SNIPPET

FRAMES, EVENTS = "abnormal and normal frames", "intervals whose category is known"
WHY = {"false_alarms_per_hour": "normal videos", "onset_delay": "a true event that is found"}
NEEDS = {
    "auc": FRAMES,
    "auc_constant": FRAMES,
    "ap": "abnormal frames",
    "ap_trapezoid": "abnormal frames",
    "ap_abnormal": "abnormal frames",
    "auc_abnormal": "normal frames in abnormal videos",
    "video_auc": "abnormal and normal videos",
    "far": "normal videos",
    **{key: WHY.get(key.removesuffix(ONLINE), "true events") for key in ALERT_KEYS},
    **{f"map@{iou:g}": EVENTS for iou in IOUS},
    "map": EVENTS,
    "category_accuracy": EVENTS,
}
"""What a metric cannot be computed without."""
SHOWN = 5
"""Intervals that are named before the rest are counted."""


def undefined(metrics: Mapping[str, float], curves: Sequence[Curve] = ()) -> list[str]:
    """Why there is a dash in place of a metric, a sentence for each reason.

    Args:
        metrics: by the keys of the metrics file; NaN where one is not defined.
        curves: what was measured, if that is known.
    """
    reasons: dict[str, list[str]] = {}
    for key, value in metrics.items():
        if isnan(value) and key in NEEDS:
            reasons.setdefault(NEEDS[key], []).append(words_for(key).name)
    there = f"; {_measured(curves)} were measured" if curves else ", which the test videos lack"
    return [f"no number for {', '.join(names)}: needs {need}{there}" for need, names in reasons.items()]


def _measured(curves: Sequence[Curve]) -> str:
    labels = [curve.label for curve in curves]
    known = [curve for curve in curves if curve.positives is not None]
    frames, abnormal = sum(int(c.lengths.sum()) for c in known), sum(c.abnormal_frames for c in known)
    return (
        f"{labels.count(1)} abnormal and {labels.count(0)} normal videos with {abnormal:,} abnormal and "
        f"{frames - abnormal:,} normal frames of known truth"
    )


def beyond_videos(
    videos: Iterable[LabelledVideo], lengths: Mapping[str, int], exact: Collection[str] = ()
) -> list[str]:
    """Intervals that end past their video. What is annotated beyond the end is not measured.

    Args:
        lengths: frames of each video as it was scored. Features of which it is not known how they end may lack part of
            the last snippet, so that only what is more than a snippet beyond them is named.
        exact: videos of which the length is that of the video itself. So is one in the labels.
    """
    found = []
    for video in videos:
        if video.frames is None and video.name not in lengths:
            continue
        frames = video.frames if video.frames is not None else lengths[video.name]
        slack = 0 if video.frames is not None or video.name in exact else SNIPPET
        found += [(video.name, one, frames) for one in video.intervals or () if one.end > frames + slack]
    return ends_past(found)


def beyond_bags(videos: Iterable[LabelledVideo], bags: Sequence[Bag]) -> list[str]:
    """As `beyond_videos`, of videos whose features are in memory."""
    exact = {bag.video for bag in bags if bag.times is not None}
    return beyond_videos(videos, {bag.video: bag.frames for bag in bags}, exact)


def ends_past(found: Sequence[tuple[str, Interval, int]]) -> list[str]:
    """Videos, intervals and frames, in words."""
    said = [
        f"{video}: interval [{interval.start}, {interval.end}) ends past the video, which has {frames} frames"
        for video, interval, frames in found[:SHOWN]
    ]
    more = len(found) - SHOWN
    return [*said, f"{more} more interval{'s'[: more > 1]} end{'s'[: more == 1]} past the video"] if more > 0 else said
