"""Where clips of events begin and end."""

from pathlib import Path

import numpy as np
import pytest
from timelines import event, timeline

from wsvad.pages.event_clips import spans_of


def test_a_margin_ends_at_the_video_and_does_not_reach_into_a_gap():
    # 1.6 s a snippet; nothing was filmed for 600 s within the third one.
    times = np.array([0.0, 1.6, 3.2, 604.8, 606.4, 608.0])
    filmed = np.full(5, 1.6)
    before, after = event(16, 48), event(6048, 6064)  # 1.6 s to 4.8 s, and 604.8 s to 606.4 s
    line = timeline(scores=(0.1, 0.9, 0.9, 0.9, 0.1), times=times, seconds_filmed=filmed, events=(before, after))
    clips = [(clip.start, clip.end) for clip in spans_of(line, Path("clips"), "a", 5.0)]
    assert clips == [pytest.approx((0.0, 4.8)), pytest.approx((604.8, 608.0))]
    clips = [(clip.start, clip.end) for clip in spans_of(line, Path("clips"), "a", 1.0)]
    assert clips == [pytest.approx((0.6, 4.8)), pytest.approx((604.8, 607.4))]
