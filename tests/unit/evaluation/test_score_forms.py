"""Frame scores in all their forms: what is written is read back, what public code leaves is read, the rest is told."""

import json
import re
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED
from sklearn.metrics import roc_auc_score

from wsvad.cli.main import main
from wsvad.datasets.annotations import read_annotations
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.convert import convert_scores, is_scores
from wsvad.evaluation.score_forms import holds_scores, load_arrays, save_arrays
from wsvad.evaluation.scores_file import read_scores, write_scores

FORMS = ("scores.npz", "scores.csv", "scores.npy", "scores")

names = st.lists(
    st.from_regex(r"[A-Za-zÀ-ž0-9_][A-Za-zÀ-ž0-9_ .,;\"'-]{0,8}[A-Za-z0-9]", fullmatch=True).map(lambda n: n + ".mp4"),
    min_size=1, max_size=4, unique_by=str.casefold,
)  # fmt: skip


@st.composite
def several(draw):
    """Videos with float32 or float64 scores, some in runs, with labels or without."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    width = 8 * dtype(0).itemsize
    number = (
        st.floats(0, 1, width=width) | st.sampled_from([0.0, 0.5, 1.0]) | st.floats(-(2.0**99), 2.0**99, width=width)
    )
    labelled = draw(st.booleans())
    scores, labels = {}, {}
    for name in draw(names):
        scores[name] = np.array(draw(st.lists(number, min_size=1, max_size=12)), dtype=dtype)
        labels[name] = np.array(
            draw(st.lists(st.integers(0, 1), min_size=len(scores[name]), max_size=len(scores[name])))
        )
    return scores, labels if labelled else None


@settings(max_examples=30, deadline=None)
@given(content=several(), first=st.sampled_from(FORMS), second=st.sampled_from(FORMS))
def test_every_form_gives_back_what_was_written_in_order(content, first, second):
    scores, labels = content
    with tempfile.TemporaryDirectory() as folder:
        write_scores(Path(folder, "a", first), scores, labels)
        convert_scores(Path(folder, "a", first), Path(folder, "b", second))
        read = read_scores(Path(folder, "b", second))
        assert list(read) == list(scores)
        for name, video in read.items():
            np.testing.assert_array_equal(video.score.astype(scores[name].dtype), scores[name])
            assert (video.label is None) == (labels is None)
            if labels is not None:
                np.testing.assert_array_equal(video.label, labels[name])


def test_csv_has_a_row_for_each_run_of_frames(tmp_path):
    write_scores(tmp_path / "s.csv", {"a": np.array([0.1, 0.1, 0.5, 0.5]), "b": np.array([1.0])},
                 {"a": np.array([0, 1, 1, 1]), "b": np.array([0])})  # fmt: skip
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "video,start_frame,end_frame,score,label", "a,0,1,0.1,0", "a,1,2,0.1,1", "a,2,4,0.5,1", "b,0,1,1.0,0",
    ]  # fmt: skip


def test_csv_of_single_frames_and_of_our_own_snippets(tmp_path):
    (tmp_path / "frames.csv").write_text("\ufeffframe, score,video\n0, 0.25,a\n1,0.5,a\n0,1,b\n")
    (tmp_path / "ours.csv").write_text(
        "video,start_frame,end_frame,start,end,score\na,0,16,0.0,0.64,0.25\na,16,20,0.64,0.8,0.5\n"
    )
    frames, ours = read_scores(tmp_path / "frames.csv"), read_scores(tmp_path / "ours.csv")
    assert {name: video.score.tolist() for name, video in frames.items()} == {"a": [0.25, 0.5], "b": [1.0]}
    assert ours["a"].score.tolist() == [0.25] * 16 + [0.5] * 4


def test_scores_as_a_spreadsheet_writes_them(tmp_path):
    """Decimal commas and a byte order mark; a workbook. What may be a thousand or one is refused."""
    rows = ["Video;Start frame;End frame;Score;Label;", "tür.mp4;0;2;0,25;0;", ";;;;;", "tür.mp4;2,0;3.0;1,5E-1;1,0;"]
    (tmp_path / "s.csv").write_bytes("\r\n".join(rows).encode("utf-16"))
    book = openpyxl.Workbook()
    for row in (
        ["video", "frame", "score", "label"],
        *(["tür.mp4", n, [0.25, 0.25, 0.15][n], n == 2] for n in range(3)),
    ):
        book.active.append([int(cell) if cell is True or cell is False else cell for cell in row])
    book.save(tmp_path / "s.xlsx")
    for name in ("s.csv", "s.xlsx"):
        assert is_scores(tmp_path / name)
        (video,) = read_scores(tmp_path / name).values()
        assert (video.score.tolist(), video.label.tolist()) == ([0.25, 0.25, 0.15], [0, 0, 1])
    (tmp_path / "s.csv").write_text("video;frame;score\na;0;1,234\n")
    with pytest.raises(WsvadError, match=r"s.csv line 2: score and label of a must be numbers"):
        read_scores(tmp_path / "s.csv")


@pytest.mark.parametrize("frames", [[40, 16, 33], [32, 16, 48]])
@pytest.mark.parametrize("tail", ["kept", "dropped"])
@pytest.mark.parametrize("form", ["folder", "array"])
def test_snippet_scores_stand_for_their_frames(frames, tail, form, tmp_path):
    rng = np.random.default_rng(0)
    scores = [rng.random(-(-f // 16) if tail == "kept" else f // 16).astype(np.float32) for f in frames]
    listing = tmp_path / "list.csv"
    listing.write_text("video,frames\n" + "".join(f"v{i},{f}\n" for i, f in enumerate(frames)))
    if form == "folder":
        (tmp_path / "s").mkdir()
        for i, score in enumerate(scores):
            np.save(tmp_path / "s" / f"v{i}.npy", score[:, None])
    else:
        np.save(tmp_path / "s.npy", np.concatenate(scores))
    convert_scores(tmp_path / ("s" if form == "folder" else "s.npy"), tmp_path / "o.npz", listing, stride=16)
    for i, video in enumerate(read_scores(tmp_path / "o.npz").values()):
        assert video.score.tolist() == [scores[i][min(f // 16, len(scores[i]) - 1)] for f in range(frames[i])]


def test_a_folder_needs_no_list(tmp_path):
    for name, values in (("b/2", [0.5] * 3), ("a", [1.0] * 2)):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "s" / f"{name}.npy", np.array(values))
    read = read_scores(tmp_path / "s")
    assert {name: video.score.tolist() for name, video in read.items()} == {"a": [1.0, 1.0], "b/2": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize("name", FORMS)
def test_evaluate_reads_every_form(name, tmp_path, capsys):
    rng = np.random.default_rng(0)
    scores = {f"v{i}": rng.random(50 + i) for i in range(4)}
    labels = {video: (rng.random(len(score)) < score).astype(int) for video, score in scores.items()}
    write_scores(tmp_path / name, scores, labels)
    assert main(["evaluate", str(tmp_path / name), "--json"]) == 0
    expected = roc_auc_score(np.concatenate(list(labels.values())), np.concatenate(list(scores.values())))
    assert json.loads(capsys.readouterr().out)["auc"] == pytest.approx(expected, abs=1e-12)


def test_the_verb_says_what_it_wrote_and_left_out(tmp_path, capsys):
    classes = (("normal", "fight"), {"a": np.array([[0.5, 0.5], [0.75, 0.25]])})
    write_scores(tmp_path / "s.npz", {"a": np.array([0.5, 0.25])}, classes=classes)
    assert main(["convert", str(tmp_path / "s.npz"), "--out", str(tmp_path / "s.csv")]) == 0
    assert "1 videos, 2 frames; scores of categories are left out" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "s.npz"), "--out", str(tmp_path / "t.csv"), "--to", "via"]) == 2
    assert "--to is not for scores; leave it out" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"only \.npz can hold scores of categories"):
        save_arrays(tmp_path / "x.csv", load_arrays(tmp_path / "s.npz"))
    with pytest.raises(UsageError, match=r"x\.txt: scores are written as"):
        convert_scores(tmp_path / "s.csv", tmp_path / "x.txt")


# ----------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("video,score\na,1", "s.csv: no column 'start_frame'; the first line must name video, start_frame, end_frame"),
        ("video,frame,score\na,0,1\nb,0,1\na,1,1", "s.csv line 4: a continues here"),
        ("video,frame,score\na,0,1\na,2,1", r"s.csv line 3: frames \[2, 3\) of a, expected to continue at 1"),
        ("video,frame,score\na,1,1", r"frames \[1, 2\) of a, expected to continue at 0"),
        ("video,start_frame,end_frame,score\na,0,0,1", r"frames \[0, 0\) of a"),
        ("video,frame,score\na,-1,1", "s.csv line 2: '-1' is not a whole number"),
        ("video,frame,score\na,0,high", "s.csv line 2: score and label of a must be numbers"),
        ("video,frame,score,label\na,0,1,maybe", "score and label of a must be numbers"),
        ("video,frame,score,label\na,0,1,2", "holds a label 2"),
        ("video,frame,score\na,0,nan", "video 'a' has scores that are not numbers"),
        ("video,frame,score\na,0", "s.csv line 2: 2 columns, expected 3"),
        ("video,frame,score\n", "holds no videos"),
    ],
)  # fmt: skip
def test_a_wrong_csv_is_told_by_line(text, says, tmp_path):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(WsvadError, match=says) as error:
        read_scores(tmp_path / "s.csv")
    assert "\n" not in str(error.value)


def test_arrays_that_do_not_fit_their_list_are_told(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros(10))
    with pytest.raises(WsvadError, match=r"its videos are not listed; write them to .*s-videos\.csv"):
        read_scores(tmp_path / "s.npy")
    for text, says in (
        (
            "video,frames\na,4\nb,5",
            r"has 10 scores, but the videos of .*s-videos\.csv have 9; check that list, and --stride",
        ),
        ("video,frames\na,4\na,6", "line 3: a is listed twice"),
        ("video,frames\na,4\nb,x", "line 3: 'x' is not a whole number"),
        ("video,frames\n", "lists no videos"),
        ("name\na", "no column 'video'"),
    ):
        (tmp_path / "s-videos.csv").write_text(text)
        with pytest.raises(WsvadError, match=says):
            read_scores(tmp_path / "s.npy")
    with pytest.raises(WsvadError, match="there is no such file"):
        load_arrays(tmp_path / "s.npy", tmp_path / "none.csv")
    with pytest.raises(UsageError, match="--stride 0"):
        load_arrays(tmp_path / "s.npy", stride=0)


def test_what_is_no_array_of_scores_is_told(tmp_path):
    (tmp_path / "s").mkdir()
    for array, says in ((np.zeros((2, 3)), r"a\.npy: expected one number a frame, found shape \(2, 3\)"),
                        (np.array(["x"]), "expected one number a frame"),
                        (np.array([{}], dtype=object), r"a\.npy: not an array of numbers"),
                        (np.array([np.nan]), "video 'a' has scores that are not numbers")):  # fmt: skip
        np.save(tmp_path / "s" / "a.npy", array, allow_pickle=True)
        with pytest.raises(WsvadError, match=says):
            read_scores(tmp_path / "s")
    (tmp_path / "s" / "a.npy").write_bytes(b"nothing")
    with pytest.raises(WsvadError, match="not an array of numbers"):
        read_scores(tmp_path / "s")
    (tmp_path / "s-videos.csv").write_text("video,frames\na,7")
    np.save(tmp_path / "s" / "a.npy", np.zeros(5))
    with pytest.raises(WsvadError, match=r"has 5 scores of 1 frame, but the list says 7 frames; check --stride"):
        read_scores(tmp_path / "s")


def test_nothing_is_written_outside_the_folder(tmp_path):
    for name in ("../a", str(tmp_path / "b")):
        with pytest.raises(WsvadError, match="points outside the folder"):
            write_scores(tmp_path / "s", {name: np.zeros(3)})
    assert not list(tmp_path.rglob("*.npy"))


def test_a_csv_is_scores_if_it_says_so(tmp_path):
    (tmp_path / "s.csv").write_text("video,frame,score\n")
    (tmp_path / "i.csv").write_text("video,category,start_frame,end_frame\n")
    assert is_scores(tmp_path / "s.csv")
    assert not is_scores(tmp_path / "i.csv")
    assert not holds_scores(tmp_path)
    for name, says in (("none.csv", "there is no such file"), ("", "neither scores")):
        with pytest.raises(WsvadError, match=says):
            is_scores(tmp_path / name)


HEADS = {
    '{"videos": [': True,
    '\ufeff\n{\n "version": 2, "made": "today",\n  "videos" : [ {': True,
    '{"videos": []}': True,
    '{"project": {"videos": [1]}, "file": {}': False,
    '[{"data": {"videos": [': False,
    '{"videos": {': False,
    '["videos": [': False,
    "": False,
}


@pytest.mark.parametrize("head", list(HEADS))
def test_a_json_file_is_told_by_its_beginning_however_large_it_is(head, tmp_path, monkeypatch):
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("all of it was parsed"))
    (tmp_path / "x.json").write_text(head, "utf-8")
    with (tmp_path / "x.json").open("r+") as file:
        file.truncate(2**30)
    assert holds_scores(tmp_path / "x.json") == HEADS[head]
    with pytest.raises(WsvadError, match=r"more than 128 MB; take scores\.csv|at most 32 MB"):
        read_scores(tmp_path / "x.json") if HEADS[head] else read_annotations(tmp_path / "x.json", None)


@pytest.mark.parametrize("ending", [".csv", ".npz", ".npy"])
def test_what_is_too_large_is_not_read_at_all(ending, tmp_path):
    (tmp_path / f"x{ending}").touch()
    with (tmp_path / f"x{ending}").open("r+") as file:
        file.truncate(2**40)
    for read in (is_scores, read_scores):
        with pytest.raises(WsvadError, match=r"1,048,576 MB, where such a file has at most 512 MB"):
            read(tmp_path / f"x{ending}")


@pytest.mark.parametrize("out", ["s.npy", "s"])
@pytest.mark.parametrize("there", ["{}", "{}-videos.csv", "{}-label"])
def test_nothing_beside_the_scores_is_written_over_or_read_as_their_truth(out, there, tmp_path):
    write_scores(tmp_path / "in.npz", {"a": np.zeros(7)})
    place = tmp_path / (there.format("s") + (".npy" if out == "s.npy" and "videos" not in there else ""))
    if place.suffix:
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "a.npy").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=rf"{place}: exists already; delete it, or name another --out"):
        convert_scores(tmp_path / "in.npz", tmp_path / out)
    assert sorted(tmp_path.rglob("*")) == before
    assert (place if place.is_file() else place / "a.npy").read_text() == "mine"


# ------------------------------------------------------------------------------------------------------- real scores

PARITY = SHARED / "data" / "parity" / "ucf-crime-a.npz"


@pytest.mark.real
@pytest.mark.skipif(not PARITY.exists(), reason="the published scores are not beside the project")
@pytest.mark.parametrize("name", FORMS[1:])
def test_published_scores_are_the_same_in_every_form(name, tmp_path):
    convert_scores(PARITY, tmp_path / name)
    before, after = read_scores(PARITY), read_scores(tmp_path / name)
    assert list(before) == list(after)
    for video, scores in before.items():
        np.testing.assert_array_equal(after[video].score, scores.score)
        np.testing.assert_array_equal(after[video].label, scores.label)


def test_scores_json_is_scores_and_an_annotation_tools_json_is_not(tmp_path):
    snippets = [{"start_frame": s, "end_frame": e, "score": x} for s, e, x in ((0, 16, 0.25), (16, 20, 0.5))]
    ours = tmp_path / "scores.json"
    ours.write_text(json.dumps({"videos": [{"video": "gate/a.mp4", "frames": 20, "snippets": snippets}]}))
    assert is_scores(ours)
    assert read_scores(ours)["gate/a.mp4"].score.tolist() == [0.25] * 16 + [0.5] * 4
    (tmp_path / "labels.json").write_text(json.dumps([{"data": {"video": "a.mp4"}, "annotations": []}]))
    assert not is_scores(tmp_path / "labels.json")
    for wrong, says in ((snippets[1:], "do not cover it from frame 0"), ([{"score": 1.0}], "'start_frame'")):
        ours.write_text(json.dumps({"videos": [{"video": "a", "frames": 20, "snippets": wrong}]}))
        with pytest.raises(WsvadError, match=rf"not a scores file \(\.json\): .*{says}"):
            read_scores(ours)


def scored(folder, events=()):
    """What `wsvad score` writes: two videos, the second without events."""
    edges = [0, 16, 20]
    snippets = [
        {"start_frame": s, "end_frame": e, "score": x} for (s, e), x in zip(pairwise(edges), (0.25, 0.5), strict=True)
    ]
    each = [{"video": name, "frames": 20, "events": [], "snippets": snippets} for name in ("gate/a.mp4", "b.mp4")]
    each[0]["events"] = list(events)
    (folder / "scores.json").write_text(json.dumps({"videos": each}))
    return folder / "scores.json"


EVENTS = ({"start_frame": 0, "end_frame": 16}, {"start_frame": 17, "end_frame": 20, "category": "fight"})


def test_events_of_scores_json_become_intervals(tmp_path, capsys):
    ours = scored(tmp_path, EVENTS)
    expected = "video,category,start_frame,end_frame\ngate/a.mp4,abnormal,0,16\ngate/a.mp4,fight,17,20\n"
    for out, more in (("intervals.csv", []), ("found.csv", ["--to", "csv"])):
        assert main(["convert", str(ours), "--out", str(tmp_path / out), *more]) == 0
        assert (tmp_path / out).read_text(encoding="utf-8-sig").replace("\r\n", "\n") == expected
    # Through another program's form and back they are the same.
    studio, back = tmp_path / "studio.json", tmp_path / "back.csv"
    assert main(["convert", str(ours), "--out", str(studio), "--to", "label-studio"]) == 0
    assert main(["convert", str(studio), "--out", str(back)]) == 0
    assert back.read_bytes() == (tmp_path / "found.csv").read_bytes()


def test_scores_json_becomes_what_evaluate_reads(tmp_path):
    ours = scored(tmp_path, EVENTS)
    for out in ("s.npz", "s.csv", "s.npy"):
        assert main(["convert", str(ours), "--out", str(tmp_path / out)]) == 0
        read = read_scores(tmp_path / out)
        assert {name: one.score.tolist() for name, one in read.items()} == dict.fromkeys(
            ("gate/a.mp4", "b.mp4"), [0.25] * 16 + [0.5] * 4
        )


@pytest.mark.parametrize("out", ["s.npz", "s.csv", "s.npy", "folder"])
def test_names_are_written_as_they_are_compared(tmp_path, out):
    """A JSON file can hold names that no file can have."""
    ours = scored(tmp_path)
    ours.write_text(ours.read_text().replace("gate/a.mp4", "gate\\\\.\\\\\\ud8ff.mp4"))
    assert main(["convert", str(ours), "--out", str(tmp_path / out)]) == 0
    assert list(read_scores(tmp_path / out)) == ["gate/%FF.mp4", "b.mp4"]


def test_the_folder_of_scores_is_no_scores_and_says_which_file_is(tmp_path, capsys):
    scored(tmp_path)
    assert main(["convert", str(tmp_path), "--out", str(tmp_path / "out.npz")]) == 2
    assert "give" in (said := capsys.readouterr().err) and "scores.json" in said


@pytest.mark.parametrize(
    ("event", "says"),
    [({"start_frame": 5}, "end_frame"), ({"start_frame": 5, "end_frame": "9"}, "a whole number"),
     ({"start_frame": 9, "end_frame": 5}, r"interval \[9, 5\) of gate/a.mp4 is empty"), (3, "")],
)  # fmt: skip
def test_damaged_events_are_one_line(tmp_path, capsys, event, says):
    assert main(["convert", str(scored(tmp_path, [event])), "--out", str(tmp_path / "intervals.csv")]) == 1
    said = capsys.readouterr().err
    assert re.search(says, said) and "scores.json" in said and said.count("\n") == 1
    assert not (tmp_path / "intervals.csv").exists()
