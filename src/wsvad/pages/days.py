"""Days and cameras: which videos were recorded when and by which camera, and how many events there were."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from wsvad.detection.timeline import Timeline

_DIGITS = re.compile(r"[\d\W_]+")
"""A folder of a day or an hour, which is no camera."""


def camera_of(timeline: Timeline) -> str:
    """The camera that a pattern of names tells, or else the first folder in the video's name that is not a date;
    empty where there is none."""
    if timeline.recorded is not None and timeline.recorded.camera:
        return timeline.recorded.camera
    folders = timeline.video.split("/")[:-1]
    return next((folder for folder in folders if not _DIGITS.fullmatch(folder)), "")


def days_of(timeline: Timeline) -> list[date]:
    """The days on which it was recorded, without those of a gap; none where nobody says."""
    if timeline.recorded is None:
        return []
    # Not the days of a gap: the first and the last snippet of each ten minutes in which there are any.
    starts = timeline.times[:-1]
    first = np.unique(starts // 600, return_index=True)[1]
    looked_at = {*starts[first], *starts[first[1:] - 1], max(timeline.times[0], timeline.times[-1] - 1e-3)}
    return sorted({timeline.recorded.at(float(seconds)).date() for seconds in looked_at})


def days(timelines: Sequence[Timeline]) -> dict[str, Any] | None:
    """All that `days.html` shows: a row a day, the newest first, a column a camera, the number of events; a dash where
    nothing was recorded. None where there is one day and one camera, or no start is known."""
    found: dict[date, dict[str, int]] = {}
    for timeline in timelines:
        camera = camera_of(timeline)
        if timeline.recorded is None:
            continue
        for day in days_of(timeline):
            found.setdefault(day, {}).setdefault(camera, 0)
        for event in timeline.events:
            row = found.setdefault(timeline.recorded.at(event.start).date(), {})
            row[camera] = row.get(camera, 0) + 1
    cameras = sorted({camera for row in found.values() for camera in row})
    if len(found) < 2 and len(cameras) < 2:
        return None
    return {
        "cameras": [camera or "events" for camera in cameras],
        "rows": [
            {"words": f"{day:%a %Y-%m-%d}", "cells": [row.get(camera) for camera in cameras]}
            for day, row in sorted(found.items(), reverse=True)
        ],
    }
