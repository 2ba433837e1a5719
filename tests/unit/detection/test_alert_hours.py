"""Hours of alerts: against a loop over every second, over midnight, weekends and clock changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import event, timeline

from wsvad.detection.alert_hours import AlertHours
from wsvad.detection.explanation import Explanation
from wsvad.errors import UsageError
from wsvad.video.wall_clock import Start

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("between", "days", "inside", "outside"),
    [
        ("22:00-06:00", None, ["2024-01-15 22:00", "2024-01-16 05:59"], ["2024-01-15 21:59", "2024-01-16 06:00"]),
        ("9-17:30", None, ["2024-01-15 09:00", "2024-01-15 17:29"], ["2024-01-15 08:59", "2024-01-15 17:30"]),
        ("22:00-00:00", None, ["2024-01-15 23:59"], ["2024-01-15 00:00"]),
        ("00:00-24:00", "sat,sun", ["2024-01-20 00:00", "2024-01-21 23:59"], ["2024-01-19 23:59", "2024-01-22 00:00"]),
        # The night of Friday ends on Saturday; that of Sunday is none, although it ends on Monday.
        ("22:00-06:00", "mon-fri", ["2024-01-19 23:00", "2024-01-20 05:00"], ["2024-01-20 22:00", "2024-01-22 05:00"]),
        (None, "Fri-Monday", ["2024-01-19 12:00", "2024-01-22 12:00"], ["2024-01-18 12:00", "2024-01-23 12:00"]),
        (None, "wed", ["2024-01-17 12:00"], ["2024-01-18 12:00"]),
    ],
)
def test_moments_in_and_out_of_them(between, days, inside, outside):
    hours = AlertHours.of(between, days)
    assert hours is not None
    assert [hours.at(at(moment)) for moment in inside] == [True] * len(inside)
    assert [hours.at(at(moment)) for moment in outside] == [False] * len(outside)


def test_without_any_there_are_none_and_what_they_are_is_said():
    assert AlertHours.of(None, None) is None
    assert str(AlertHours.of("22:00-06:00", None)) == "22:00–06:00"
    assert str(AlertHours.of("22-6", "fri-sun")) == "22:00–06:00 on fri, sat, sun"
    assert str(AlertHours.of(None, "sat")) == "sat"


@pytest.mark.parametrize("text", ["", "22", "25:00-06:00", "22:00-24:30", "22:60-23:00", "9pm-6am", "06:00-06:00"])
def test_hours_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--between"):
        AlertHours.of(text, None)


@pytest.mark.parametrize("text", ["", "mo", "mon-fri-sun", "mon,", "weekday", "mon fri", "montag"])
def test_days_that_are_none_are_refused(text):
    with pytest.raises(UsageError, match="--days"):
        AlertHours.of(None, text)


@given(
    start=st.integers(0, 1439),
    end=st.integers(1, 1440),
    days=st.frozensets(st.integers(0, 6), min_size=1),
    # About the nights of both clock changes, and any other time.
    moment=st.datetimes(datetime(2024, 3, 30, 22), datetime(2024, 3, 31, 6))
    | st.datetimes(datetime(2024, 10, 26, 22), datetime(2024, 10, 27, 6))
    | st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 14)),
    seconds=st.integers(1, 9000),
)
def test_an_event_is_an_alert_where_any_of_its_seconds_is(start, end, days, moment, seconds):
    hours = AlertHours(start=start, end=end, days=days)
    begin = moment.replace(microsecond=0, tzinfo=UTC)
    line = timeline(recorded=Start(moment=begin.astimezone(BERLIN), origin="name"))
    wall = [(begin + timedelta(seconds=s)).astimezone(BERLIN) for s in range(seconds)]
    assert hours.alert(line, event(0, 10 * seconds)) == any(map(hours.at, wall))


def test_an_event_of_centuries_is_an_alert_of_all_hours():
    line = timeline(recorded=Start(moment=at("2024-01-15 12:00"), origin="name"))
    for day in range(7):
        assert AlertHours(start=60, end=61, days=frozenset([day])).alert(line, event(0, 10 * 10**10))


@pytest.mark.parametrize(
    ("between", "alert"),
    [
        ("22:00-06:00", False),
        ("17:00-18:00", True),
        ("18:01-07:59", False),
        ("08:00-08:01", True),
        ("08:01-17:59", False),
    ],
)
def test_a_gap_is_not_an_hour_in_which_something_was_seen(between, alert):
    """A recorder that films when something moves stops at 17:59:59.6 and goes on at 8:00:00.6, in the same snippet."""
    start = datetime(2024, 1, 15, 17, 59, 57, tzinfo=BERLIN)
    night = 14 * 3600 + 1.0
    line = timeline(recorded=Start(moment=start, origin="name"), times=np.array([0, 1.6, 3.2 + night, 4.8 + night]))
    line = replace(line, seconds_filmed=np.array([1.6, 1.6, 1.6]))
    one = replace(line.events[0], start=1.6, end=3.2 + night)
    hours = AlertHours.of(between, None)
    assert hours is not None and hours.alert(replace(line, events=(one,)), one) == alert


def test_where_the_start_is_unknown_every_event_is_an_alert():
    hours = AlertHours(start=0, end=1)
    line = timeline()
    assert hours.alert(line, line.events[0])


def test_events_that_are_left_out_take_what_is_said_of_them_along():
    events = (event(0, 16), event(16, 32), event(32, 48))
    why = Explanation(categories=("a", "b"), event_embeddings=np.eye(3)[:, :2], prototypes=np.eye(2))
    line = replace(timeline(events=events), explanation=why)
    some = line.only(lambda one: one.start > 1)
    assert some.events == events[1:] and len(some.scores) == 3
    assert [some.nearest(one) for one in some.events] == [line.nearest(one) for one in events[1:]]
