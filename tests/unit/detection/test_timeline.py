import csv
import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.detection.timeline import Timeline, clock, write_events_csv, write_scores_csv, write_scores_json
from wsvad.metrics.events import Event, EventRules, Rarity, find_events
from wsvad.metrics.interval import Interval

RATE = Fraction(30000, 1001)
EDGES = np.array([0, 16, 32, 40])
TIMELINE = Timeline(
    video='day 1/gate, "north".mp4',
    path=None,
    rate=RATE,
    frames=40,
    times=EDGES / float(RATE),
    frame_edges=EDGES,
    scores=np.array([0.1, 0.9, 0.25], dtype=np.float32),
    events=(Event(start_frame=16, end_frame=32, start=16 / 29.97, end=32 / 29.97, peak=0.9, peak_time=24 / 29.97),),
    threshold=0.5,
    low=0.35,
    truth=(Interval(start=20, end=40, category="fight"),),
    label=1,
)


def test_json_holds_exact_frames_and_rate(tmp_path: Path):
    write_scores_json(tmp_path / "scores.json", [TIMELINE])
    (video,) = json.loads((tmp_path / "scores.json").read_text())["videos"]
    assert video["video"] == TIMELINE.video
    assert Fraction(video["frame_rate"]) == RATE
    assert (video["frames"], video["mode"], video["threshold"]) == (40, "whole", 0.5)
    assert [(s["start_frame"], s["end_frame"]) for s in video["snippets"]] == [(0, 16), (16, 32), (32, 40)]
    assert [s["score"] for s in video["snippets"]] == pytest.approx([0.1, 0.9, 0.25], abs=1e-6)
    assert all(s["end_frame"] / float(RATE) == pytest.approx(s["end"], abs=1e-6) for s in video["snippets"])
    assert video["events"] == [
        {"start_frame": 16, "end_frame": 32, "start": 0.533867, "end": 1.067734, "peak": 0.9, "peak_time": 0.800801}
    ]


def test_unknown_rate_is_null(tmp_path: Path):
    write_scores_json(tmp_path / "scores.json", [dataclasses.replace(TIMELINE, rate=None)])
    assert json.loads((tmp_path / "scores.json").read_text())["videos"][0]["frame_rate"] is None


def test_csv_files_read_back_the_same_values_as_json(tmp_path: Path):
    two = [TIMELINE, dataclasses.replace(TIMELINE, video="b.mp4", events=())]
    write_scores_json(tmp_path / "scores.json", two)
    write_scores_csv(tmp_path / "scores.csv", two)
    write_events_csv(tmp_path / "events.csv", two)
    videos = json.loads((tmp_path / "scores.json").read_text())["videos"]
    for name, key in (("scores.csv", "snippets"), ("events.csv", "events")):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        words = (
            dict.fromkeys(
                ["attributions", "category", "probability", "wall_start", "wall_end", "rarity", "distance"], ""
            )
            if key == "events"
            else {}
        )
        expected = [{"video": video["video"], **item, **words} for video in videos for item in video[key]]
        assert rows == [{column: str(value) for column, value in row.items()} for row in expected]


def test_an_event_says_what_it_leans_on(tmp_path: Path):
    event = dataclasses.replace(TIMELINE.events[0], end_frame=40)
    shares = {"pose": [0.9, 0.1, 0.3], "flow": [0.05, 0.6, 0.5], "text": [0.05, 0.3, 0.2]}
    told = dataclasses.replace(TIMELINE, events=(event,), attributions={k: np.array(v) for k, v in shares.items()})
    write_scores_json(tmp_path / "scores.json", [told])
    ((found,),) = (video["events"] for video in json.loads((tmp_path / "scores.json").read_text())["videos"])
    assert found["attributions"] == {"flow": 0.55, "text": 0.25, "pose": 0.2}
    assert list(found["attributions"]) == ["flow", "text", "pose"]
    write_events_csv(tmp_path / "events.csv", [told])
    assert (tmp_path / "events.csv").read_text().splitlines()[1].endswith(",flow 0.55; text 0.25,,,,,,")


def test_an_event_says_how_rare_it_is(tmp_path: Path):
    often = Rarity(words="once in 40 min of normal video", events=3, hours=2.0, per_hour=(1.5, 0.2, 4.4))
    told = dataclasses.replace(TIMELINE, events=(dataclasses.replace(TIMELINE.events[0], rarity=often),))
    write_scores_json(tmp_path / "scores.json", [told])
    write_events_csv(tmp_path / "events.csv", [told])
    ((found,),) = (video["events"] for video in json.loads((tmp_path / "scores.json").read_text())["videos"])
    assert found["rarity"] == {
        "words": "once in 40 min of normal video", "events": 3, "hours": 2.0, "per_hour": [1.5, 0.2, 4.4],
    }  # fmt: skip
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        assert [row["rarity"] for row in csv.DictReader(file)] == [often.words]


def test_name_that_is_no_text_is_written(tmp_path: Path):
    odd = dataclasses.replace(TIMELINE, video="caf\udce9.mp4")  # how Python names a file with a Latin-1 name
    write_scores_json(tmp_path / "scores.json", [odd])
    write_scores_csv(tmp_path / "scores.csv", [odd])
    assert json.loads((tmp_path / "scores.json").read_text())["videos"][0]["video"] == "caf\\udce9.mp4"
    assert (tmp_path / "scores.csv").read_text().splitlines()[1].startswith("caf\\udce9.mp4,0,16,")


def test_borders_must_fit_the_scores():
    with pytest.raises(ValueError, match="4 borders"):
        dataclasses.replace(TIMELINE, times=TIMELINE.times[:-1])
    with pytest.raises(ValueError, match="every share needs one number a snippet, 3"):
        dataclasses.replace(TIMELINE, attributions={"pose": np.ones(2)})
    with pytest.raises(ValueError, match="at least one snippet"):
        dataclasses.replace(TIMELINE, scores=TIMELINE.scores[:0])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00.0"), (3.24, "0:03.2"), (59.96, "1:00.0"), (754.0, "12:34.0"), (3599.99, "1:00:00.0"), (-1, "0:00.0")],
)
def test_clock(seconds: float, words: str):
    assert clock(seconds) == words


def test_clock_in_whole_seconds():
    assert clock(3725.0, whole=True) == "1:02:05"


def test_seconds_of_a_frame_follow_the_borders():
    varying = dataclasses.replace(TIMELINE, times=np.array([0.0, 1.0, 4.0, 4.5]))
    assert [varying.seconds(frame) for frame in (-3, 0, 8, 24, 40, 99)] == [0, 0, 0.5, 2.5, 4.5, 4.5]


@given(
    edges=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    scores=st.lists(st.sampled_from([0.1, 0.9]), min_size=12, max_size=12),
)
def test_events_of_a_resampled_video_have_their_snippets_also_where_those_hold_no_frame(edges, scores):
    borders = np.concatenate([[0], np.cumsum(edges)])
    times, each = 1.6 * np.arange(len(borders)), np.array(scores[: len(edges)])
    events = find_events(each, times, borders, threshold=0.5, rules=EventRules(min_seconds=0, merge_seconds=0))
    line = dataclasses.replace(TIMELINE, scores=each, times=times, frame_edges=borders, events=tuple(events))
    marked = np.zeros(len(each), bool)
    for event in events:
        first, end = line.snippets(event)
        assert (times[first], times[end]) == (event.start, event.end)
        assert (borders[first], borders[end]) == (event.start_frame, event.end_frame)
        marked[first:end] = True
    assert marked.tolist() == (each > 0.5).tolist()
