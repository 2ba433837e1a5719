"""The video itself with its score: a strip under the picture with curve and playhead, a red frame during events."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from wsvad.detection.timeline import Timeline, clock
from wsvad.errors import WsvadError
from wsvad.pages.preview import at_rate
from wsvad.video.clock import filmed
from wsvad.video.reader import Frame, VideoReader
from wsvad.video.results import COMMENT
from wsvad.video.times import filmed_of
from wsvad.video.writer import write_video

ALARM, CURVE, AREA, INK, GROUND, BAND, RULE = (
    (235, 64, 52), (169, 200, 238), (52, 66, 84), (240, 240, 240), (22, 23, 26), (78, 30, 30), (120, 124, 130)
)  # fmt: skip
"""RGB."""
FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_overlay(timeline: Timeline, path: Path | str) -> None:
    """Write the video with its scores as H.264 in an `.mp4`, without its sound.

    The picture keeps its size, and a strip is added below it, so that nothing is hidden but the edge under the red
    frame. A constant frame rate is kept exactly. A varying one becomes constant (the average, at least 10 and at most
    60 frames per second) with frames repeated or left out, so that it lasts as long as what was filmed. A gap in which
    nothing was is left out, and the time in the strip leaps. One frame is held at a time.

    Raises:
        WsvadError: the timeline has no video file, or it cannot be read, or the result cannot be written.
    """
    if timeline.path is None:
        raise WsvadError(f"{timeline.video}: only its features are there; an overlay needs the video file")
    with VideoReader(timeline.path, raw_rate=timeline.rate) as video:
        rate = rate_of(timeline, video.info.rate)
        write_video(path, _painted(at_rate(_film(video, 1 / rate), rate), rate, timeline), rate, comment=COMMENT)


def rate_of(timeline: Timeline, declared: Fraction) -> Fraction:
    """Frames per second of an overlay: the file's, if its snippets last as long as that says. Files say what they like:
    an average with gaps in it, or the ticks of their clock."""
    rate, seconds = timeline.rate or declared, filmed(timeline.times, timeline.seconds_filmed)
    if np.isclose(seconds, np.diff(timeline.frame_edges) / float(rate), rtol=0.1, atol=1 / float(rate)).all():
        return rate
    average = Fraction(timeline.frames / timeline.filmed()).limit_denominator(1001) if timeline.filmed() else declared
    return min(max(average, Fraction(10)), Fraction(60))


def _film(frames: Iterable[Frame], period: Fraction) -> Iterator[Frame]:
    """The frames one after the other, timed as if there were no gaps between them."""
    for frame in frames:
        lasting = filmed_of(frame.duration, period)
        yield replace(frame, time=frame.time - frame.unfilmed, duration=lasting)


def _painted(frames: Iterator[Frame], rate: Fraction, timeline: Timeline) -> Iterator[np.ndarray]:
    strip: Strip | None = None
    for count, frame in enumerate(frames):
        image = frame.array()
        strip = strip or Strip(timeline, image.shape[1], image.shape[0])
        # A frame on the constant clock stands for the time at which it is shown, but never for one before its own.
        seconds = max(count / rate, frame.time) + frame.unfilmed
        yield paint(image, strip, float(seconds), timeline)


def paint(image: np.ndarray, strip: "Strip", seconds: float, timeline: Timeline) -> np.ndarray:
    """One frame, `(h, w, 3)` RGB, with the strip below it: `(h + strip, w, 3)`."""
    event = any(event.start <= seconds < event.end for event in timeline.events)
    if event:
        edge = max(2, min(image.shape[:2]) // 60)
        for side in (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:]):
            image[side] = ALARM
    return np.concatenate([image, strip.at(seconds, score_at(timeline, seconds), event)])


def score_at(timeline: Timeline, seconds: float) -> float:
    """The score of the snippet on show; the first or last one outside the video."""
    index = int(np.searchsorted(timeline.times, seconds, side="right")) - 1
    return float(timeline.scores[min(max(index, 0), len(timeline.scores) - 1)])


class Strip:
    """The picture of the curve, drawn once, `(height, width, 3)`; `at` adds what changes."""

    def __init__(self, timeline: Timeline, width: int, video_height: int):
        self.width = width
        self.height = min(max(round(0.2 * video_height), 44), 180)
        self.line = round(0.42 * self.height)
        """Rows for the text, above the curve."""
        self.start, self.duration = float(timeline.times[0]), timeline.duration or 1.0
        self.image = np.full((self.height, width, 3), GROUND, np.uint8)
        for event in timeline.events:
            self.image[self.line :, self._column(event.start) : self._column(event.end) + 1] = BAND
        self._curve(timeline)
        self.image[self._row(timeline.threshold), ::2] = ALARM

    def _curve(self, timeline: Timeline) -> None:
        """The highest score on show in each column, so that no peak is lost in a long video."""
        edges = self.start + self.duration * np.arange(self.width + 1) / self.width
        first = np.searchsorted(timeline.times, edges[:-1], side="right") - 1
        last = np.searchsorted(timeline.times, edges[1:], side="left")
        before: int | None = None
        for column in range(self.width):
            first_snippet = min(first[column], len(timeline.scores) - 1)
            row = self._row(timeline.scores[first_snippet : max(last[column], first_snippet + 1)].max())
            area = self.image[row:, column]
            np.maximum(area, np.array(AREA, np.uint8), out=area)
            top, bottom = sorted((row, row if before is None else before))
            self.image[top : bottom + 1, column] = CURVE
            before = row

    def at(self, seconds: float, score: float, event: bool) -> np.ndarray:
        """The strip at a time: playhead, time and score, and "ANOMALY" during an event."""
        image = self.image.copy()
        image[self.line :, self._column(seconds)] = INK
        words = f"{clock(seconds)}  score {score:.2f}" + ("  ANOMALY" if event else "")
        scale = cv2.getFontScaleFromHeight(FONT, max(6, round(0.5 * self.line)))
        (text_width, text_height), _ = cv2.getTextSize(words, FONT, scale, 1)
        if text_width > self.width - 8:
            scale *= (self.width - 8) / text_width
        thickness = max(1, round(1.6 * scale))
        place = (4, (self.line + text_height) // 2)
        cv2.putText(image, words, place, FONT, scale, ALARM if event else INK, thickness, cv2.LINE_AA)
        return image

    def _column(self, seconds: float) -> int:
        share = (seconds - self.start) / self.duration
        return min(max(int(share * self.width), 0), self.width - 1)

    def _row(self, score: float) -> int:
        return self.height - 1 - round(float(np.clip(score, 0, 1)) * (self.height - 1 - self.line))
