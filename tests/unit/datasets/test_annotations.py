"""Annotations from and to other tools: nothing lost on the way, files as the tools write them, wrong ones told."""

import json
import re
import tempfile
import tracemalloc
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import write_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED

from wsvad.cli.main import main
from wsvad.datasets.annotations import read_annotations, write_annotations
from wsvad.datasets.annotations.label_studio import video_name
from wsvad.datasets.annotations.truth import AsDecoded, AtRate
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation import convert
from wsvad.evaluation.convert import convert_annotations, parsed_rate
from wsvad.metrics.interval import Interval
from wsvad.video.names import normal

OUT = {"csv": "out.csv", "cvat": "out", "label-studio": "out.json", "via": "out.json"}


def at(frame_rate: float):
    return lambda video: AtRate(frame_rate)


def spans(truth) -> dict[str, list[tuple[int, int, str]]]:
    return {video: [(i.start, i.end, i.category) for i in intervals] for video, intervals in truth.items()}


def intervals(*given: tuple[int, int, str]) -> tuple[Interval, ...]:
    return tuple(Interval(start=s, end=e, category=c) for s, e, c in given)


# --------------------------------------------------------------------------------------------------------- properties

words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters=";/\\"), min_size=1)
files = st.builds("{}.mp4".format, st.from_regex(r"[A-Za-z0-9À-ž&<>' _-]{0,8}[A-Za-z0-9]", fullmatch=True)).map(
    str.strip
)


@st.composite
def truths(draw):
    """One to three videos with at least one interval each, which may overlap, and how many frames each has."""
    truth, frames = {}, {}
    for video in draw(st.lists(files, min_size=1, max_size=3, unique_by=str.casefold)):
        frames[video] = draw(st.integers(1, 10**6))
        starts = draw(st.lists(st.integers(0, frames[video] - 1), min_size=1, max_size=4))
        truth[video] = tuple(
            sorted(
                (Interval(start=s, end=draw(st.integers(s + 1, frames[video])), category=draw(words)) for s in starts),
                key=lambda i: (i.start, i.end, i.category),
            )
        )
    return truth, frames


@settings(max_examples=60, deadline=None)
@given(
    content=truths(), forms=st.permutations(list(OUT)), frame_rate=st.sampled_from([25, 30, 30000 / 1001, 12.5, 240]),
    known=st.booleans(),
)  # fmt: skip
def test_the_round_through_all_tools_changes_nothing(content, forms, frame_rate, known):
    truth, frames = content
    with tempfile.TemporaryDirectory() as folder:
        now = truth
        for number, form in enumerate(forms):
            path = Path(folder, str(number), OUT[form])
            write_annotations(path, now, form, at(frame_rate), frames if known else {})
            now, notes, _ = read_annotations(path, at(frame_rate))
            assert notes == []
        assert spans(now) == spans(truth)


# ------------------------------------------------------------------------------------------- as the tools write them

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task><id>7</id><name>gate</name><size>100</size><mode>interpolation</mode>
      <start_frame>0</start_frame><stop_frame>99</stop_frame><frame_filter></frame_filter>
      <labels><label><name>fight</name><attributes></attributes></label></labels>
      <original_size><width>320</width><height>240</height></original_size>
      <source>gate.mp4</source>
    </task>
    <dumped>2024-01-01</dumped>
  </meta>
  <track id="0" label="fight" source="manual">
    <box frame="10" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>
    <box frame="11" outside="0" occluded="0" keyframe="0" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>
    <box frame="12" outside="1" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>
    <box frame="40" outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>
    <box frame="50" outside="1" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>
  </track>
  <track id="1" label="robbery" source="manual">
    <polygon frame="80" outside="0" occluded="0" points="1,1;2,2"><attribute name="a">b</attribute></polygon>
  </track>
</annotations>
"""
IMAGES = """<annotations><version>1.1</version><meta><task><name>yard.mp4</name></task></meta>
  <image id="3" name="frame_000003" width="4" height="4"><tag label="fight" source="manual"></tag></image>
  <image id="4" name="frame_000004"><tag label="fight"/><box label="theft" xtl="0" ytl="0" xbr="1" ybr="1"/></image>
  <image id="5" name="frame_000005"></image>
  <image id="6" name="frame_000006"><tag label="fight"/></image>
</annotations>"""


def test_tracks_of_cvat_are_seen_until_they_leave_or_the_video_ends(tmp_path):
    (tmp_path / "a.xml").write_text(CVAT)
    truth, *_ = read_annotations(tmp_path / "a.xml", at(25))
    assert spans(truth) == {"gate.mp4": [(10, 12, "fight"), (40, 50, "fight"), (80, 100, "robbery")]}


def test_frames_of_cvat_with_a_tag_are_runs(tmp_path):
    (tmp_path / "a.xml").write_text(IMAGES)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.xml").write_text(CVAT)
    truth, *_ = read_annotations(tmp_path, at(25))
    assert spans(truth)["yard.mp4"] == [(3, 5, "fight"), (4, 5, "theft"), (6, 7, "fight")]
    assert len(truth["gate.mp4"]) == 3


def test_what_we_write_for_cvat_is_a_track_of_keyframes(tmp_path):
    truth = {"a/gate.mp4": intervals((0, 1, "fight"), (5, 20, "a & b"))}
    write_annotations(tmp_path / "out", truth, None, at(25), {"a/gate.mp4": 20})
    text = (tmp_path / "out" / "a" / "gate.mp4.xml").read_text()
    boxes = re.findall(r'<box frame="(\d+)" outside="(\d)" occluded="0" keyframe="1" xtl=', text)
    assert boxes == [("0", "0"), ("1", "1"), ("5", "0"), ("19", "0")]
    assert "<stop_frame>19</stop_frame>" in text
    assert "<name>a &amp; b</name>" in text


def task(name: str, *results: dict, **more) -> dict:
    return {"id": 1, "data": {"video": name}, "annotations": [{"id": 2, "result": list(results), **more}]}


def timeline(start: int, end: int, *labels: str) -> dict:
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": list(labels)}
    return {
        "id": "x",
        "type": "timelinelabels",
        "from_name": "l",
        "to_name": "video",
        "origin": "manual",
        "value": value,
    }


def test_label_studio_counts_from_one_and_names_the_last_frame(tmp_path):
    project = [
        task("/data/upload/3/0a1b2c3d-gate%20one.mp4", timeline(1, 1, "fight"), timeline(11, 20, "fight", "theft")),
        task("/data/local-files/?d=cams/yard.mp4", {"type": "choices", "value": {"choices": ["night"]}}),
        {"data": {"video": "plain.mp4"}, "annotations": []},
    ]
    (tmp_path / "export.json").write_text(json.dumps(project))
    truth, notes, _ = read_annotations(tmp_path / "export.json", at(25))
    assert spans(truth) == {"gate one.mp4": [(0, 1, "fight"), (10, 20, "fight;theft")], "cams/yard.mp4": [],
                            "plain.mp4": []}  # fmt: skip
    assert notes[0].endswith("left out annotations that are not time spans (timelinelabels): 1 of type choices")


@pytest.mark.parametrize(
    ("value", "name"),
    [("normal/a b.mp4", "normal/a b.mp4"),
     ("https://host:80/x/a%20b.mp4?key=1", "a b.mp4"), ("s3://bucket/x/a.mp4", "a.mp4"),
     ("https://host/data/upload/2/0a1b2c3d-a.mp4", "a.mp4"), ("upload/0a1b2c3d-a.mp4", "a.mp4"),
     ("/data/local-files/?d=x%2Fa.mp4", "x/a.mp4")],
)  # fmt: skip
def test_what_a_video_of_label_studio_is_called(value, name):
    assert video_name({"video": value}) == name
    assert video_name({"id": 3, "url": value}) == name


def test_of_several_people_the_ground_truth_counts(tmp_path):
    both = task("a.mp4", timeline(1, 5, "fight"))
    both["annotations"] += [
        {"result": [timeline(2, 6, "fight")], "was_cancelled": False}, {"result": [], "was_cancelled": True},
    ]  # fmt: skip
    path = tmp_path / "export.json"
    path.write_text(json.dumps([both]))
    with pytest.raises(WsvadError, match="task 1: annotated 2 times; mark one annotation as ground truth"):
        read_annotations(path, at(25))
    both["annotations"][1]["ground_truth"] = True
    path.write_text(json.dumps([both]))
    assert spans(read_annotations(path, at(25))[0]) == {"a.mp4": [(1, 6, "fight")]}


VIA = {
    "project": {"pid": "x", "data_format_version": "3.1.1", "vid_list": ["1", "2"]},
    "config": {},
    "attribute": {
        "1": {"aname": "caption", "anchor_id": "FILE1_Z0_XY0", "type": 1, "options": {}},
        "2": {"aname": "what", "anchor_id": "FILE1_Z2_XY0", "type": 4, "options": {"0": "fight", "1": "theft"}},
    },
    "file": {
        "1": {"fid": "1", "fname": "gate.mp4", "type": 4, "loc": 1, "src": ""},
        "2": {"fid": 2, "fname": "yard.mp4", "type": 4, "loc": 1, "src": ""},
    },
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}},
    "metadata": {
        "1_a": {"vid": "1", "flg": 0, "z": [1.2, 3.399], "xy": [], "av": {"2": "1"}},
        "1_b": {"vid": "1", "flg": 0, "z": [1.2], "xy": [2, 1, 1, 5, 5], "av": {"2": "1"}},
        "1_c": {"vid": "1", "flg": 1, "z": [9.0, 10.0], "xy": [], "av": {"2": "0"}},
        "1_d": {"vid": "1", "flg": 0, "z": [0, 0.01], "xy": [], "av": {}},
        "1_e": {"vid": "1", "flg": 0, "z": [5, 6], "xy": [], "av": {"2": "0,1"}},
    },
}


def test_segments_of_via_are_seconds(tmp_path):
    (tmp_path / "via.json").write_text(json.dumps(VIA))
    truth, *_ = read_annotations(tmp_path / "via.json", at(10))
    assert spans(truth) == {
        "gate.mp4": [(0, 1, "abnormal"), (12, 34, "theft"), (50, 60, "fight;theft")], "yard.mp4": [],
    }  # fmt: skip
    typed = json.loads(json.dumps(VIA))
    typed["attribute"]["2"]["type"] = 1
    (tmp_path / "via.json").write_text(json.dumps(typed))
    assert spans(read_annotations(tmp_path / "via.json", at(10))[0])["gate.mp4"][1] == (12, 34, "1")


# ---------------------------------------------------------------------------------------------------------- the verb


def test_from_tool_to_tool_on_the_command_line(tmp_path, capsys):
    (tmp_path / "cvat.xml").write_text(CVAT)
    via, back = str(tmp_path / "via.json"), tmp_path / "intervals.csv"
    given = ["convert", str(tmp_path / "cvat.xml"), "--out", via, "--to", "via"]
    assert main(given) == 2
    assert "VIA stores seconds: give --frame-rate, or the folder of the videos with --videos" in capsys.readouterr().err
    assert main([*given, "--frame-rate", "30000/1001"]) == 0
    assert main(["convert", via, "--out", str(back), "--frame-rate", "30000/1001"]) == 0
    assert "intervals.csv: 1 videos, 3 intervals" in capsys.readouterr().err
    assert back.read_text().splitlines() == [
        "video,category,start_frame,end_frame", "gate.mp4,fight,10,12", "gate.mp4,fight,40,50",
        "gate.mp4,robbery,80,100",
    ]  # fmt: skip
    assert main(["convert", str(back), "--out", str(tmp_path / "x.json")]) == 2
    assert "determine the format; name it with --to, one of: csv, cvat, label-studio, via" in capsys.readouterr().err
    assert main(["convert", via, "--out", str(back), "--frame-rate", "25"]) == 2
    assert "intervals.csv: exists already" in capsys.readouterr().err
    assert main(["convert", via, "--out", str(tmp_path / "y.csv"), "--stride", "16"]) == 2
    assert "--stride is not for annotations; leave it out" in capsys.readouterr().err


def test_rates_and_lengths_are_those_of_the_videos(tmp_path):
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4", 20, rate=10)
    write_clip(tmp_path / "videos" / "b.mp4", 20, rate=20)
    truth = {"a.mp4": intervals((5, 10, "x")), "b.mp4": intervals((10, 20, "x"))}
    write_annotations(tmp_path / "i.csv", truth, None, at(1), {})
    convert_annotations(tmp_path / "i.csv", tmp_path / "via.json", "via", videos=tmp_path / "videos")
    times = [segment["z"] for segment in json.loads((tmp_path / "via.json").read_text())["metadata"].values()]
    assert times == [[0.5, 1.0], [0.5, 1.0]]
    convert_annotations(tmp_path / "i.csv", tmp_path / "cvat", videos=tmp_path / "videos")
    assert "<size>20</size>" in (tmp_path / "cvat" / "a.mp4.xml").read_text()


def test_names_without_folders_are_those_of_the_videos(tmp_path):
    videos = tmp_path / "videos"
    for place in ("fight/a.mp4", "b.mp4", "normal/b.mp4", "normal/c.mp4", "fight/c.mp4"):
        (videos / place).parent.mkdir(parents=True, exist_ok=True)
        write_clip(videos / place, 10, rate=10)
    one = intervals((2, 5, "x"))
    write_annotations(tmp_path / "i.csv", {"a.mp4": one, "b.mp4": one}, None, at(1), {})
    convert_annotations(tmp_path / "i.csv", tmp_path / "via.json", "via", videos=videos)
    convert_annotations(tmp_path / "via.json", tmp_path / "back.csv", videos=videos)
    assert (tmp_path / "back.csv").read_text().splitlines()[1:] == ["fight/a.mp4,x,2,5", "b.mp4,x,2,5"]
    for video, says in (("c.mp4", "2 videos here are called 'c.mp4'"), ("d.mp4", "no videos here are called 'd.mp4'")):
        write_annotations(tmp_path / "i.csv", {video: one}, None, at(1), {})
        with pytest.raises(WsvadError, match=says):
            convert_annotations(tmp_path / "i.csv", tmp_path / "o.json", "label-studio", videos=videos)


def test_a_video_is_found_in_its_folder_in_every_spelling_of_its_name(tmp_path):
    videos, name = tmp_path / "videos", "gate/\u00dcberfall.mp4"
    (videos / "gate").mkdir(parents=True)
    write_clip(videos / name, 10, rate=10)
    for written in ("U\u0308berfall.mp4", "\u00dcberfall.mp4", "gate\\\u00dcberfall.mp4", "x/gate/U\u0308berfall.mp4"):
        write_annotations(tmp_path / "via.json", {written: intervals((2, 5, "x"))}, "via", at(10), {})
        convert_annotations(tmp_path / "via.json", tmp_path / "i.csv", videos=videos)
        assert (tmp_path / "i.csv").read_text().splitlines()[1:] == [f"{name},x,2,5"]
    write_annotations(tmp_path / "via.json", {"door/\u00dcberfall.mp4": intervals((2, 5, "x"))}, "via", at(10), {})
    with pytest.raises(WsvadError, match=r"no videos here are called 'door/\u00dcberfall.mp4'"):
        convert_annotations(tmp_path / "via.json", tmp_path / "i.csv", videos=videos)


class Many:
    """A reader of a long video."""

    info = SimpleNamespace(rate=Fraction(25))
    count = 50_000

    def __init__(self, path):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        return (SimpleNamespace(time=Fraction(n, 25), duration=Fraction(1, 25)) for n in range(self.count))


def test_many_frames_and_many_intervals_take_little(tmp_path, monkeypatch):
    """Of a frame its time is kept as a number, and names are not looked for among all videos at each edge."""
    monkeypatch.setattr("wsvad.datasets.annotations.truth.VideoReader", Many)
    monkeypatch.setattr(convert, "videos_below", lambda folder: {f"gate/v{n}.mp4": folder for n in range(1000)})
    written = []
    monkeypatch.setattr(convert, "normal", lambda name: written.append(name) or normal(name))
    truth = {"v7.mp4": intervals(*((10 * n, 10 * n + 5, "x") for n in range(1000)))}
    write_annotations(tmp_path / "via.json", truth, "via", at(25), {})
    tracemalloc.start()
    convert._Folder(tmp_path, tmp_path).decoded("v7.mp4")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * Many.count
    convert_annotations(tmp_path / "via.json", tmp_path / "i.csv", videos=tmp_path)
    assert read_annotations(tmp_path / "i.csv", at(1))[0] == {"gate/v7.mp4": truth["v7.mp4"]}
    assert len(written) < 10 * 1000


@given(st.lists(st.integers(0, 40), min_size=2, max_size=9).map(sorted), st.integers(-20, 200))
def test_a_second_is_the_border_nearest_to_it(borders, fifth):
    """As among all of them; past the end frames are counted on."""
    borders, second = np.array(borders, float), fifth / 5
    found = AsDecoded(borders, 2.0).frame(second)
    beyond = round((second - borders[-1]) * 2)
    assert found == (len(borders) - 1 + beyond if beyond > 0 else np.abs(borders - second).argmin())


def test_label_studio_counts_at_a_rate_of_its_own(tmp_path):
    (tmp_path / "v").mkdir()
    write_clip(tmp_path / "v" / "a.mp4", 270, rate=30)
    drawn = {"a.mp4": intervals((120, 192, "x"))}  # 121–192 as Label Studio writes it, at 24 frames a second
    write_annotations(tmp_path / "ls.json", drawn, "label-studio", at(1), {})
    convert_annotations(tmp_path / "ls.json", tmp_path / "i.csv", None, "24", tmp_path / "v")
    assert (tmp_path / "i.csv").read_text().splitlines()[1:] == ["a.mp4,x,150,240"]
    convert_annotations(tmp_path / "i.csv", tmp_path / "back.json", "label-studio", "24", tmp_path / "v")
    assert spans(read_annotations(tmp_path / "back.json", at(1))[0]) == spans(drawn)


def test_frames_are_counted_and_timed_by_decoding(tmp_path):
    """A file that was cut without encoding it anew counts frames that it does not show; one of varying rate."""
    (tmp_path / "v").mkdir()
    held = [0, 40, 80, 120, 2000, 2040, 2080, 2120]
    write_clip(tmp_path / "v" / "varying.mkv", 8, times=held)
    write_clip(tmp_path / "v" / "b.avi", 29, preset="medium", bf="3")
    path = write_clip(tmp_path / "v" / "cut.mp4", 20, g="100", bf="0")
    content = bytearray(path.read_bytes())
    place = content.index(b"elst") + 12  # its one edit: how long it lasts, and where in the stream it starts
    scale = int.from_bytes(content[(at_ := content.index(b"mdhd") + 16) : at_ + 4], "big")
    movie = int.from_bytes(content[(at_ := content.index(b"mvhd") + 16) : at_ + 4], "big")
    content[place : place + 8] = (movie * 15 // 25).to_bytes(4, "big") + (scale * 5 // 25).to_bytes(4, "big")
    path.write_bytes(content)
    truth = {
        "varying.mkv": intervals((3, 5, "x")),
        "cut.mp4": intervals((2, 20, "x")),
        "b.avi": intervals((5, 10, "x")),
    }
    write_annotations(tmp_path / "i.csv", truth, None, at(1), {})
    told = convert_annotations(tmp_path / "i.csv", tmp_path / "cvat", videos=tmp_path / "v")
    assert "<stop_frame>14</stop_frame>" in (tmp_path / "cvat" / "cut.mp4.xml").read_text()
    assert "cut.mp4: interval [2, 20) ends past the video, which has 15 frames" in told
    convert_annotations(tmp_path / "i.csv", tmp_path / "via.json", "via", videos=tmp_path / "v")
    seconds = [segment["z"] for segment in json.loads((tmp_path / "via.json").read_text())["metadata"].values()]
    assert seconds == [[0.12, 2.04], [0.08, 0.8], [0.2, 0.4]]
    convert_annotations(tmp_path / "via.json", tmp_path / "back.csv", videos=tmp_path / "v")
    assert spans(read_annotations(tmp_path / "back.csv", at(1))[0]) == spans(truth)


@pytest.mark.parametrize(
    ("form", "with_videos", "says"),
    [
        ("cvat", False, "csv and cvat count the frames of the video itself"),
        ("cvat", True, "csv and cvat count the frames of the video itself"),
        ("label-studio", False, "Label Studio counts frames at a rate of its own"),
        ("via", True, "the videos themselves say when their frames are"),
    ],
)
def test_a_rate_that_would_be_ignored_is_refused(tmp_path, form, with_videos, says):
    (tmp_path / "v").mkdir()
    write_clip(tmp_path / "v" / "a.mp4", 5)
    write_annotations(tmp_path / "i.csv", {"a.mp4": intervals((1, 3, "x"))}, None, at(1), {})
    with pytest.raises(UsageError, match=says):
        convert_annotations(tmp_path / "i.csv", tmp_path / "o", form, "25", tmp_path / "v" if with_videos else None)


@pytest.mark.parametrize(("text", "value"), [("25", 25), ("30000/1001", 30000 / 1001), ("12.5", 12.5), (" 25. ", 25)])
def test_rates(text, value):
    assert parsed_rate(text) == value


@pytest.mark.parametrize(
    "text",
    ["fast", "0", "-1", "1/0", "1e9", "1e400", "1e999999999", "9" * 5000, "0." + "1" * 5000, "1/1/1", "nan", "inf", ""],
)
def test_wrong_rates(text):
    with pytest.raises(UsageError, match="write frames a second"):
        parsed_rate(text)


# -------------------------------------------------------------------------------------------------------- bad input

BOMB = '<!DOCTYPE b [<!ENTITY a "{}"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>'
FETCH = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations><meta>&x;</meta></annotations>'


def segment(**changes) -> str:
    """A project of VIA with one segment."""
    whole = {"vid": "1", "flg": 0, "z": [0, 1], "xy": [], "av": {}} | changes
    return json.dumps(VIA | {"metadata": {"s": whole}})


WRONG = {
    "bomb.xml": (BOMB.format("x" * 99), "has a document type"),
    "fetch.xml": (FETCH, "has a document type"),
    "dtd.xml": ('<!DOCTYPE annotations SYSTEM "http://host/x.dtd"><annotations/>', "has a document type"),
    "other.xml": ("<feed></feed>", "begins with <feed>, not <annotations>"),
    "cut.xml": (CVAT[:700], "not XML"),
    "text.xml": ("hello", "not XML"),
    "empty.xml": ("", "not XML"),
    "project.xml": ("<annotations><meta><project/></meta></annotations>", "an export of a whole project"),
    "label.xml": ("<annotations>\n<track id='1'/></annotations>", r"line 2: not in CVAT's format \('label'\)"),
    "frame.xml": (CVAT.replace('"10"', '"ten"'), "line 14: not in CVAT's format"),
    "before.xml": (CVAT.replace('"10"', '"-10"'), r"interval \[-10, 12\) of gate.mp4 is empty or begins before"),
    "nothing.json": ("3", "neither a project of VIA nor an export of Label Studio"),
    "broken.json": ("[{", "not valid JSON"),
    "task.json": ('[{"data": {}}]', "task 1: not in the format of Label Studio's JSON export"),
    "list.json": ("[[1]]", "task 1: not in the format of Label Studio's"),
    "range.json": (json.dumps([task("a", timeline(5, 3, "x"))]), r"interval \[4, 3\) of a is empty"),
    "zero.json": (json.dumps([task("a", timeline(0, 3, "x"))]), r"interval \[-1, 3\) of a is empty or begins before"),
    "half.json": (json.dumps([task("a", timeline(1.5, 3, "x"))]), "task 1: .*not whole numbers"),
    "twice.json": (json.dumps([task("a"), task("a")]), "task 2: a has two tasks"),
    "unnamed.json": (json.dumps([task("a", timeline(1, 3))]), r"interval \[0, 3\) of a has no category"),
    "via.json": (json.dumps(VIA | {"view": {"1": {"fid_list": ["9"]}}}), r"a VIA 3 project \(no file '9'\)"),
    "end.json": (segment(z=[-3, -1]), "begins before frame 0"),
    "time.json": (segment(z=["x", 1]), r"VIA 3 project \(metadata.s.z.0 is 'x' instead of a number\)"),
    "option.json": (segment(av={"2": "7"}), "segment s: not in the format of a VIA 3 project"),
    "encoding.xml": ('<?xml version="1.0" encoding="klingon"?><annotations/>', "line 1: not in CVAT's format"),
    "bytes.xml": ('<?xml version="1.0" encoding="utf-32"?><annotations/>', "not XML|not in CVAT's format"),
    "digits.xml": (CVAT.replace('"10"', f'"{"9" * 5000}"'), "line 14: not in CVAT's format"),
    "stop.xml": (CVAT.replace(">99<", f">{'9' * 5000}<"), "stop_frame is '9+', which is no frame"),
    "long.xml": (CVAT.replace("gate.mp4", "g" * 256), "has a part of 256 bytes, where files have at most 255"),
    "category.xml": (CVAT.replace("fight", "f" * 1001), "has a category that is no text of at most 1000 letters"),
    "tag.xml": (CVAT.replace("fight", "f" * (2**20 + 1)), "has a tag or a text of more than 1 MB"),
    "infinite.json": (json.dumps([task("a", timeline(1, float("inf"), "x"))]), "ranges.0.end is inf instead of a num"),
    "infinity.json": (segment(z=[0, float("inf")]), "metadata.s.z.1 is inf instead of a number"),
    "far.json": (segment(z=[0, 1e308]), "segment s: the times .* are beyond any video"),
    "years.json": (segment(z=[0, 1e30]), "is longer than any video"),
    "digits.json": ('[{"data": {"video": "a"}, "id": ' + "9" * 5000 + "}]", "not valid JSON .*4300"),
    "number.json": (json.dumps([task(3)]), "task 1: .*data.video is no name"),
    "words.json": (json.dumps([task("a", timeline(1, 2, 3))]), "timelinelabels.0 is 3 instead of text"),
    "letters.json": (json.dumps([task("a", timeline(1, 2, "\ud800"))]), "has a category that is no text"),
    "nul_category.json": (json.dumps([task("a", timeline(1, 2, "\0"))]), "has a category that is no text"),
    "nul.json": (json.dumps([task("a\0")]), "has a NUL in it"),
    "address.json": (json.dumps([task("http://[x/a.mp4", timeline(1, 3))]), "of a.mp4 has no category"),
    "name.json": (json.dumps(VIA | {"file": {"1": {"fname": 7}}}), "file.1.fname is 7 instead of text"),
    "flag.json": (segment(flg="1"), "metadata.s.flg is '1' instead of a whole number"),
    "d.csv": (f"video,start_frame,end_frame\na,1,{'9' * 5000}", "line 2: frames of a must be whole numbers"),
    "a.csv": ("video,start_frame\na,1", "no column 'end_frame'"),
    "b.csv": ("video,start_frame,end_frame\na,1,x", "line 2: frames of a must be whole numbers"),
    "c.csv": ("video,start_frame,end_frame\na,5,5", r"interval \[5, 5\) of a is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(WRONG))
def test_wrong_files_are_told_in_a_line(name, tmp_path):
    text, says = WRONG[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(WsvadError, match=says) as error:
        read_annotations(tmp_path / name, at(25))
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_two_files_of_one_video_and_names_that_lead_away(tmp_path):
    for name in ("a.xml", "b.xml"):
        (tmp_path / name).write_text(CVAT)
    with pytest.raises(WsvadError, match=r"b\.xml: gate\.mp4 has two files"):
        read_annotations(tmp_path, at(25))
    one = intervals((0, 1, "x"))
    with pytest.raises(WsvadError, match="points outside the folder"):
        write_annotations(tmp_path / "out", {"../a.mp4": one}, "cvat", at(25), {})
    with pytest.raises(WsvadError, match="CVAT has a file for each video, and there are 2"):
        write_annotations(tmp_path / "two.xml", {"a": one, "b": one}, None, at(25), {})
    with pytest.raises(WsvadError, match="characters that XML cannot hold"):
        write_annotations(tmp_path / "bad.xml", {"a\x01": one}, None, at(25), {})
    assert not list(tmp_path.rglob("*.mp4.xml"))


# --------------------------------------------------------------------------------------------------------- real truth

UCF = SHARED / "data" / "ucf-crime-captions" / "test_intervals.csv"


@pytest.mark.real
@pytest.mark.skipif(not UCF.exists(), reason="the annotation of UCF-Crime is not beside the project")
def test_the_annotation_of_ucf_crime_goes_through_every_tool(tmp_path):
    truth, *_ = read_annotations(UCF, at(30))
    assert len(truth) == 140
    for form, name in OUT.items():
        write_annotations(tmp_path / form / name, truth, form, at(30), {})  # type: ignore[arg-type]
        assert spans(read_annotations(tmp_path / form / name, at(30))[0]) == spans(truth)


def test_intervals_of_any_spelling_are_one_videos(tmp_path):
    path = tmp_path / "intervals.csv"
    path.write_text("video,category,start_frame,end_frame\ngate\\a.mp4,fall,5,9\n./gate/a.mp4,fall,1,3\n")
    truth, *_ = read_annotations(path, at(25))
    assert {video: [interval.start for interval in intervals] for video, intervals in truth.items()} == {
        "gate/a.mp4": [1, 5]
    }


@pytest.mark.parametrize(("name", "text"), [("in.csv", "video,start_frame,end_frame,sco"), ("in.json", "[]")])
@pytest.mark.parametrize("to", ["csv", "cvat", "label-studio"])
def test_a_file_without_videos_is_told_and_nothing_is_written(tmp_path, capsys, name, text, to):
    (tmp_path / name).write_text(text)
    assert main(["convert", str(tmp_path / name), "--out", str(tmp_path / "out"), "--to", to]) == 1
    assert f"{name}: has no videos in it, so there is nothing to convert" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
