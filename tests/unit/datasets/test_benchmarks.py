"""Published datasets: adapters, totals, protocols, from fabricated official trees and from the real annotation."""

import csv
import io
import json
import re
from dataclasses import replace
from os import mkfifo
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
import trees
from places import SHARED

from wsvad.cli.main import main
from wsvad.datasets.benchmark import DATASETS
from wsvad.datasets.official import read_list
from wsvad.datasets.open import open_dataset
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.measure import measure
from wsvad.evaluation.scores_file import curves_from_scores_file, read_scores, write_scores
from wsvad.evaluation.totals import check_totals, introduce
from wsvad.methods.mil import Mil
from wsvad.runs.model import TrainedMethod, save_method
from wsvad.runs.normalisation import Normalisation

CAPTIONS = SHARED / "data" / "ucf-crime-captions"
PED2_LABELS = SHARED / "data" / "ucsd-ped2" / "labels.csv"
PARITY = SHARED / "data" / "parity"


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """Fabricated tree by name, built when it is first asked for."""
    built = {}

    def get(name: str) -> tuple[Path, trees.Truth]:
        if name not in built:
            folder = tmp_path_factory.mktemp(name)
            built[name] = folder, trees.TREES[name][0](folder)
        return built[name]

    return get


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Path:
    """A run of a method that learned nothing, 4 wide."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    method = Mil({"rgb": trees.WIDTH}, Mil.config_class(hidden=(8, 4)))
    nothing = Normalisation(kinds={"rgb": "none"}, mean={}, std={})
    save_method(folder, TrainedMethod(name="mil", method=method, widths={"rgb": trees.WIDTH}, normalisation=nothing))
    return folder


# ---------------------------------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize("name", list(trees.TREES))
def test_an_official_tree_has_the_split_the_truth_and_the_totals_of_its_dataset(tree, name):
    folder, truth = tree(name)
    dataset = open_dataset(f"{name.replace('-', '_')}:{folder / 'data'}")
    assert dataset == open_dataset(folder / "data")  # recognised by its files
    assert (dataset.name, dataset.benchmark) == (name, name)
    assert {video.name for video in dataset.test} == set(truth)
    for video in dataset.test:
        frames, intervals = truth[video.name]
        assert (video.frames, video.label) == (frames, int(bool(intervals)))
        covered, expected = np.zeros(frames, bool), np.zeros(frames, bool)
        for interval in video.intervals:
            covered[interval.start : interval.end] = True
        for start, end in intervals:
            expected[start:end] = True
        assert (covered == expected).all()
    told = introduce(dataset)
    assert told[0].endswith("the official split")
    assert "(official" not in told[0]
    assert f"{trees.TREES[name][2]} as ⌊F/16⌋·16 (published" in told[-1]


@pytest.mark.parametrize("name", list(trees.TREES))
def test_random_features_of_an_official_layout_are_chance(tree, untrained, name, capsys):
    folder, truth = tree(name)
    if not (folder / "features").exists():
        # ShanghaiTech has only 500 abnormal snippets: chance scatters by 1.3 points there, the others by 0.4 or less.
        trees.write_features(folder / "features", truth, trees.TREES[name][1], seed=7)
    given = ["--data", f"{name}:{folder / 'data'}", "--features", str(folder / "features"), "--json"]
    assert main(["evaluate", str(untrained), *given]) == 0
    out, said = capsys.readouterr()
    metrics = json.loads(out)
    assert metrics["auc"] == pytest.approx(0.5, abs=0.01)
    positive = {"ucf-crime": 0.0758, "xd-violence": 0.2308, "shanghaitech": 0.0562, "msad": 0.2304}[name]
    assert metrics["ap"] == pytest.approx(positive, abs=0.01)
    assert f"measured on {trees.TREES[name][2]}: as published" in said


def scores_of(truth: trees.Truth, lengths) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    snippets = {name: np.repeat(rng.random(frames // 16 + 1), 16) for name, (frames, _) in truth.items()}
    return {name: snippets[name][: lengths(frames)].astype(np.float32) for name, (frames, _) in truth.items()}


@pytest.mark.parametrize("name", list(trees.TREES))
def test_one_frame_cut_from_one_video_is_found_by_its_name(tree, name, tmp_path, capsys):
    folder, truth = tree(name)
    scores = scores_of(truth, lambda frames: frames // 16 * 16)
    victim = list(scores)[len(scores) // 2]
    frames = len(scores[victim])
    scores[victim] = scores[victim][:-1]
    write_scores(tmp_path / "scores.npz", scores)
    assert main(["evaluate", str(tmp_path / "scores.npz"), "--data", f"{name}:{folder / 'data'}", "--json"]) == 0
    said = capsys.readouterr().err
    assert f"first video that differs: {victim}, {frames - 1:,} frames where ⌊F/16⌋·16 gives {frames:,}\n" in said


def test_without_frame_counts_a_length_that_is_no_whole_snippet_is_named(tree, tmp_path):
    folder, truth = tree("ucf-crime")
    for path in (folder / "data").glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    dataset = open_dataset(tmp_path)
    assert "the lengths of 290 of 290 test videos are not annotated (first Abuse001_x264)" in introduce(dataset)[-1]
    scores = scores_of(truth, lambda frames: frames // 16 * 16)
    scores["Arson003_x264"] = scores["Arson003_x264"][1:]
    write_scores(tmp_path / "scores.npz", scores)
    told = check_totals(dataset, curves_from_scores_file(read_scores(tmp_path / "scores.npz"), dataset))[0]
    assert "first video that differs: Arson003_x264" in told


def test_shanghaitech_masks_tell_what_they_are_by_name_and_repeat_their_last_value(tmp_path):
    for number, (name, frames, positive) in enumerate(
        [("rtfm (gt-sh)", 142_912, 8_028), ("tevad (gt-sh2, also MGFN)", 143_888, 8_028), ("pel4vad", 140_112, 7_874)]
    ):
        trees.shanghaitech(tmp_path / str(number), frames, positive)
        told = introduce(open_dataset(f"shanghaitech:{tmp_path / str(number) / 'data'}"))[-1]
        assert f"as ⌊F/16⌋·16 (published: {name})" in told
    folder = tmp_path / "0" / "data"
    mask = np.zeros(100, np.uint8)
    mask[90:] = 1
    np.save(folder / "test_frame_mask" / "01_0013.npy", mask)
    video = next(v for v in open_dataset(folder).test if v.name == "01_0013")
    assert [(i.start, i.end) for i in video.intervals] == [(90, 116)]


def test_xd_violence_has_several_categories_in_a_video_and_papers_print_its_ap(tree):
    folder, _ = tree("xd-violence")
    dataset = open_dataset(folder / "data")
    found = {video.category for video in dataset.test}
    assert {"fighting", "shooting;car accident;explosion", "riot", "normal"} <= found
    assert DATASETS["xd-violence"].headline == "ap"


def test_events_of_xd_violence_are_of_one_category_each_where_that_is_annotated(tree, tmp_path):
    """Frame metrics keep the truth of annotations.txt; mAP takes the events, as in VadCLIP's list folder."""
    name, other = "Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6", "v=DD3jfKr8e-k__#1_label_B4-0-0"
    (tmp_path / "xd_CLIP_rgbtest.csv").write_text(f"path,label\n/x/{name}__0.npy,G-B2-B6\n/x/{other}__0.npy,B4-0-0\n")
    (tmp_path / "annotations.txt").write_text(f"{name} 157 180 185 360\n{other} 0 2400\n")
    (tmp_path / "annotations_multiclasses.txt").write_text(f"{name}.mp4 B2 157 180 G 185  244 B6 240 360\n")
    first, second = open_dataset(tmp_path, need_training=False).test
    assert [(i.start, i.end, i.category) for i in first.events] == [
        (157, 180, "shooting"), (185, 244, "explosion"), (240, 360, "car accident"),
    ]  # fmt: skip
    assert [(i.start, i.end) for i in first.intervals] == [(157, 180), (185, 360)]
    assert second.events is None  # one label: its intervals say as much
    for text, says in (
        (f"{name} B2 157 180 X 1 2", "line 1: .* is not 'file B1 s1 e1 G s2 e2"),
        (f"{name} B2 157", "line 1: .* is not 'file B1 s1 e1 G s2 e2"),
        (f"{other} B4 0 2400", f"{name} of annotations.txt is missing"),
    ):
        (tmp_path / "annotations_multiclasses.txt").write_text(text)
        with pytest.raises(WsvadError, match=rf"annotations_multiclasses.txt.* ?{says}"):
            open_dataset(tmp_path, need_training=False)


def test_vadclip_counts_normal_videos_of_xd_violence_but_not_of_ucf_crime(tmp_path):
    """Two videos, perfectly told apart: "normal" has an AP of 1 there, as its truth is the whole video (3.5)."""
    (tmp_path / "xd_CLIP_rgbtest.csv").write_text("path,label\nv=a_label_B1-0-0__0.npy,B1\nv=b_label_A__0.npy,A\n")
    (tmp_path / "annotations.txt").write_text("v=a_label_B1-0-0 16 32\n")
    fighting = {"v=a_label_B1-0-0": [0, 1, 0], "v=b_label_A": [0, 0, 0]}
    normal = {"v=a_label_B1-0-0": [0.1, 0, 0.1], "v=b_label_A": [1, 1, 0]}
    classes = {name: np.repeat(np.column_stack([fighting[name], normal[name]]), 16, axis=0) for name in fighting}
    frames = {name: np.zeros(48, np.float32) for name in fighting}
    write_scores(tmp_path / "scores.npz", frames, classes=(["fighting", "normal"], classes))
    dataset = open_dataset(f"xd-violence:{tmp_path}", need_training=False)
    found = measure(tmp_path / "scores.npz", dataset, None, "vadclip").metrics
    assert found["map@0.5"] == pytest.approx((1 + 1) / 2)
    found = measure(tmp_path / "scores.npz", replace(dataset, benchmark="ucf-crime"), None, "vadclip").metrics
    assert found["map@0.5"] == pytest.approx((1 + 0) / 2)


PED2 = """% a comment with gt_frame = [1:2]
TestVideoFile = {};
""" + "".join(
    f"TestVideoFile{{end+1}}.gt_frame = [{n + 1}:{n + 60}{', 100:110' if n == 2 else ''}];\n" for n in range(12)
)


def test_ped2_counts_its_pictures_and_reads_ranges_from_one(tmp_path):
    for name, count in (("Train", 16), ("Test", 12)):
        for number in range(1, count + 1):
            clip = tmp_path / name / f"{name}{number:03d}"
            clip.mkdir(parents=True)
            for frame in range(120):
                (clip / f"{frame:03d}.tif").touch()
    (tmp_path / "Test" / "UCSDped2.m").write_text(PED2)
    dataset = open_dataset(f"ucsd_ped2:{tmp_path}")
    assert (len(dataset.train), len(dataset.test)) == (16, 12)
    by_name = {video.name: video for video in dataset.videos}
    assert by_name["Test003"].split == "train" and by_name["Test004"].split == "test"
    assert [(i.start, i.end) for i in by_name["Test003"].intervals] == [(2, 62), (99, 110)]
    assert {video.frames for video in dataset.videos} == {120}
    assert dataset == open_dataset(tmp_path)
    names = [*(f"Train{n:03d}" for n in range(1, 17)), *(f"Test{n:03d}" for n in range(1, 13))]
    (tmp_path / "train.list").write_text("".join(f"x/{name}_i3d.npy\n" for name in names[:20]))
    (tmp_path / "test.txt").write_text("# the others\n" + "".join(f"{name}.avi\n" for name in names[20:]))
    assert [video.name for video in open_dataset(f"ucsd_ped2:{tmp_path}").train] == names[:20]


@pytest.mark.real
@pytest.mark.skipif(not PED2_LABELS.is_file(), reason="the labels of UCSD Ped2 are not beside the project")
def test_ped2_agrees_with_the_labels_beside_the_project(tmp_path):
    """Annotated there: the truth of the test clips and the split; here: from the official format."""
    with PED2_LABELS.open() as file:
        listed = list(csv.DictReader(file))
    with PED2_LABELS.with_name("test_intervals.csv").open() as file:
        truth = {row["video"]: (int(row["start_frame"]), int(row["end_frame"])) for row in csv.DictReader(file)}
    names = {r["video"]: f"{'Train' if r['label'] == '0' else 'Test'}0{r['video'][-6:-4]}" for r in listed}
    (tmp_path / "Test").mkdir()
    rows = (truth.get(f"testing_{n:02d}.mp4", (0, 10)) for n in range(1, 13))
    text = "".join(f"TestVideoFile{{end+1}}.gt_frame = [{start + 1}:{end}];\n" for start, end in rows)
    (tmp_path / "Test" / "UCSDped2.m").write_text(text)
    frames = "".join(f"{names[row['video']]},{row['frames']}\n" for row in listed)
    (tmp_path / "frames.csv").write_text("video,frames\n" + frames)
    dataset = open_dataset(f"ucsd_ped2:{tmp_path}")
    found = {video.name: (video.label, video.split, video.frames) for video in dataset.videos}
    assert found == {names[r["video"]]: (int(r["label"]), r["split"].strip(), int(r["frames"])) for r in listed}
    told = introduce(dataset)
    assert told[0].endswith("the official split")
    assert "2,040, 818 abnormal (40.10 %) as every frame (published" in told[1]


@pytest.mark.real
@pytest.mark.skipif(not CAPTIONS.is_dir(), reason="the UCF-Crime annotation is not beside the project")
def test_the_real_annotation_of_ucf_crime_has_the_published_totals(tmp_path):
    """Written down in the official format and read again, it is the same, and every total of section 1.1 comes out."""
    tables = {
        name: list(csv.DictReader((CAPTIONS / f"{name}.csv").open())) for name in ("train", "test", "test_intervals")
    }
    pairs: dict[str, list[str]] = {row["video"]: [] for row in tables["test"]}
    for row in tables["test_intervals"]:
        pairs[row["video"]] += [row["start_frame"], row["end_frame"]]
    rows = []
    for row in tables["test"]:
        numbers = [*pairs[row["video"]], "-1", "-1", "-1", "-1"][:4]
        rows.append(f"{row['video']}.mp4  {row['category'].capitalize() if row['label'] == '0' else row['category']}  "
                    + "  ".join(numbers))  # fmt: skip
    (tmp_path / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(rows))
    (tmp_path / "Anomaly_Train.txt").write_text("\n".join(f"x/{row['video']}.mp4" for row in tables["train"]))
    counts = "".join(f"{row['video']},{row['frames']}\n" for name in ("train", "test") for row in tables[name])
    (tmp_path / "frames.csv").write_text("video,frames\n" + counts)
    official, ours = open_dataset(tmp_path), open_dataset(f"ucf_crime:{CAPTIONS}")
    assert [(v.name, v.label, v.category, v.frames) for v in official.videos] == [
        (v.name, v.label, v.category, v.frames) for v in ours.videos
    ]
    assert [v.intervals for v in official.test] == [v.intervals for v in ours.test]
    for dataset in (official, ours):
        told = introduce(dataset)
        assert len(told) == 2  # no category has another number of videos than is published
        assert told[0].endswith("the official split")
        for total in ("1,111,808", "1,109,824", "1,114,144"):
            assert total in told[1]
        assert "1,109,824, 84,160 abnormal (7.58 %) as ⌊F/16⌋·16 (published: ⌊F/16⌋·16)" in told[1]
    assert sum(len(v.intervals or ()) == 2 for v in official.test) == 16


@pytest.mark.real
@pytest.mark.skipif(not CAPTIONS.is_dir(), reason="the UCF-Crime annotation is not beside the project")
def test_random_features_of_the_real_lengths_are_chance_and_a_frame_less_is_found(untrained, tmp_path, capsys):
    """As above, with the lengths and the annotation that UCF-Crime has, and both lengths that its extractors make."""
    data = open_dataset(f"ucf_crime:{CAPTIONS}")
    truth = {video.name: (video.frames, []) for video in data.test}
    for rule, said in ((lambda n: n // 16, "⌊F/16⌋·16"), (lambda n: -(-n // 16), "⌈F/16⌉·16")):
        features = tmp_path / said[:1]
        trees.write_features(features, truth, "_i3d", rule, seed=3)
        given = ["--data", f"ucf_crime:{CAPTIONS}", "--features", str(features), "--json"]
        assert main(["evaluate", str(untrained), *given]) == 0
        out, told = capsys.readouterr()
        assert json.loads(out)["auc"] == pytest.approx(0.5, abs=0.01)
        assert f"as published ({said})" in told
    scores = {name: np.zeros(frames, np.float32) for name, (frames, _) in truth.items()}
    scores["Shooting008_x264"] = scores["Shooting008_x264"][1:]
    write_scores(tmp_path / "scores.npz", scores)
    assert main(["evaluate", str(tmp_path / "scores.npz"), "--data", f"ucf_crime:{CAPTIONS}", "--json"]) == 0
    length = truth["Shooting008_x264"][0]
    expected = f"first video that differs: Shooting008_x264, {length - 1:,} frames where every frame gives {length:,}"
    assert expected in capsys.readouterr().err


@pytest.mark.real
@pytest.mark.skipif(not PARITY.is_dir(), reason="the published scores are not beside the project")
@pytest.mark.parametrize(("name", "auc"), [("a", 0.75671), ("b", 0.82424)])
def test_published_scores_on_the_annotation_agree_and_the_difference_is_explained(name, auc, capsys):
    path = PARITY / f"ucf-crime-{name}.npz"
    assert main(["evaluate", str(path), "--data", f"ucf_crime:{CAPTIONS}", "--json"]) == 0
    out, said = capsys.readouterr()
    assert json.loads(out)["auc"] == pytest.approx(auc, abs=1e-3)
    line = next(line for line in said.splitlines() if line.startswith("labels in the file differ"))
    assert "in 156 of 1,111,518 frames (first Abuse028_x264)" in line
    assert "they read intervals as [s−1, e), not [s, e); each video has F−1, the last frame left out" in line
    assert f"AUC with them {100 * auc:.2f}" in line
    assert "every video follows F−1, the last frame left out" in said


# --------------------------------------------------------------------------------------------------------- bad input


def test_a_name_without_a_folder_or_of_nothing(tmp_path):
    with pytest.raises(UsageError, match=r"'ucf_crime': name its folder as well, ucf_crime:FOLDER"):
        open_dataset("ucf_crime")
    with pytest.raises(
        UsageError, match=r"no dataset is called 'avenue'; choose one of: msad, shanghaitech, ucf-crime"
    ):
        open_dataset(f"avenue:{tmp_path}")
    with pytest.raises(WsvadError, match="there is no such folder"):
        open_dataset(f"msad:{tmp_path / 'x'}")
    with pytest.raises(WsvadError, match=r"no temporal annotation here .*copy the official file"):
        open_dataset(f"ucf_crime:{tmp_path}")


BROKEN = {
    "ucf-crime": {
        "Temporal_Anomaly_Annotation_for_Testing_Videos.txt": [
            ("Abuse001_x264.mp4  Abuse  5", r"line 1: 'Abuse001_x264.mp4  Abuse  5' is not 'file class s1 e1 s2 e2'"),
            ("Abuse001_x264.mp4  Abuse  9  9  -1  -1", r"line 1: interval \[9, 9\) of Abuse001_x264 is empty"),
            ("Abuse001_x264.mp4  Arson  1  9  -1  -1", "annotated as Arson, its name says Abuse"),
            ("Abuse001_x264.mp4  Abuse  -1  -1  -1  -1", "abnormal test video Abuse001_x264 has no interval"),
            ("Abuse001_x264.mp4  Abuse  1  9\nAbuse001_x264.mp4  Abuse  1  9", "is in the test list twice"),
            ("Abuse101_x264.mp4  Abuse  1  9", "Abuse101_x264 is in both splits"),
            ("\n", "the file is empty; copy the official one"),
        ],
        "Anomaly_Train.txt": [("\n", "the list is empty")],
        "frames.csv": [("video,frames\nAbuse001_x264,x", r"line 2: 'Abuse001_x264,x' is not video,frames")],
    },
    "xd-violence": {
        "annotations.txt": [
            ("v=x_label_B1-0-0 5", "has 1 frame numbers; they come in pairs"),
            ("v=x_label_A 5 9", "is labelled normal .* but has an interval"),
            ("v=x_label_B1-0-0 5 9", "v=x_label_B1-0-0 is not in the list of test videos"),
            ("v=x", "is not 'file s1 e1 s2 e2"),
        ],
        "rgb_test.list": [("v=x_label_B7-0-0__0.npy", "does not end in a label|is not in the list")],
    },
    "shanghaitech": {
        "shanghai-i3d-test-10crop.list": [("abc_i3d.npy", "'abc_i3d.npy' is not a video such as 01_0014")],
        "test_frame_mask/02_0001.npy": [("not an array", "02_0001.npy: not an array of frame labels")],
    },
    "msad": {
        "anomaly_annotation.csv": [
            ("name,scenario\nFire_1,shop", "no column for 'total'"),
            ("name,scenario,total frames,start,end\nFire_1,shop,9,a,5", "line 2: the frames of Fire_1 must be whole"),
            ("name,scenario,total frames,start,end\nFire_1,shop,9,2,5", "test video Assault_1 has no interval"),
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "text", "says"),
    [(name, file, *case) for name, files in BROKEN.items() for file, cases in files.items() for case in cases],
)
def test_every_mistake_in_an_official_file_is_one_line(tree, tmp_path, name, file, text, says):
    source = tree(name)[0] / "data"
    for path in source.rglob("*"):
        if path.is_file() and path.name != Path(file).name:
            (tmp_path / path.relative_to(source)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(source)).symlink_to(path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    with pytest.raises(WsvadError, match=says) as error:
        open_dataset(f"{name}:{tmp_path}")
    assert "\n" not in str(error.value)


def damaged_masks():
    """Files of an array whose head is no head, or announces more than there is."""
    whole = io.BytesIO()
    np.save(whole, np.zeros(100, np.uint8))
    return {
        "a lost brace": whole.getvalue().replace(b", }", b",  "),
        "more than there is": whole.getvalue().replace(b"(100,), }         ", b"(1000000000000,), }"),
        "cut off": whole.getvalue()[:-1],
        "empty": b"",
        "a page": b"<!DOCTYPE html><html>",
    }


@pytest.mark.parametrize("damage", [*damaged_masks(), "a pipe"])
def test_a_damaged_mask_is_named(tree, tmp_path, damage):
    copytree(tree("shanghaitech")[0] / "data", tmp_path / "data")
    path = tmp_path / "data" / "test_frame_mask" / "02_0001.npy"
    path.unlink()
    if damage == "a pipe":
        mkfifo(path)
    else:
        path.write_bytes(damaged_masks()[damage])
    with pytest.raises(WsvadError, match=rf"{re.escape(str(path))}: (not an array of frame|an HTML|not a file that)"):
        open_dataset(f"shanghaitech:{tmp_path / 'data'}")


def test_two_sources_of_frame_counts_that_differ_name_the_video(tree, tmp_path):
    for name, video in (("shanghaitech", "02_0001"), ("msad", "Assault_1")):
        source, truth = tree(name)
        folder = tmp_path / name
        folder.mkdir()
        for path in (source / "data").iterdir():
            (folder / path.name).symlink_to(path)
        (folder / "frames.csv").unlink()
        trees.write_frames(folder, {video: (truth[video][0] - 1, [])})
        with pytest.raises(WsvadError, match=rf"frames.csv: {video} has \d+ frames here but {truth[video][0]} in"):
            open_dataset(folder)


def test_a_folder_with_files_of_several_datasets_is_asked_which(tree, tmp_path):
    """As the list folders of VadCLIP, UR-DMU and TEVAD are; and labels beside the folder are another dataset's."""
    for name in ("ucf-crime", "xd-violence"):
        for path in (tree(name)[0] / "data").iterdir():
            if path.name != "frames.csv":
                (tmp_path / "list").mkdir(exist_ok=True)
                (tmp_path / "list" / path.name).symlink_to(path)
    with pytest.raises(
        UsageError,
        match=r"official files of ucf-crime and xd-violence are here; choose one, as "
        "in ucf",
    ):
        open_dataset(tmp_path / "list")
    (tmp_path / "labels.csv").write_text("video,label\na,0\nb,1\nc,0\nd,1\n")
    assert len(open_dataset(f"xd-violence:{tmp_path / 'list'}").test) == 800
    assert len(open_dataset(f"ucf-crime:{tmp_path / 'list'}").test) == 290


def test_lists_of_other_machines_and_spreadsheets(tmp_path):
    """Quotes, commas and spaces in paths, any case of endings, carriage returns, a byte order mark, columns behind."""
    path = tmp_path / "list.csv"
    path.write_bytes('\ufeffpath,label\r\n"/x/Ein, Film__0.npy",B1\r\n/x/Zwei, Filme__1.NPY,A\r\n'.encode())
    assert read_list(path) == ["Ein, Film", "Zwei, Filme"]
    path = tmp_path / "list.list"
    path.write_bytes("D:\\My Videos\\Größe 1_x264.MP4 12 1\r\nplain 7\n/x/a b__3.npy,4\n".encode())
    assert read_list(path) == ["Größe 1_x264", "plain", "a b"]
    path.write_bytes(b"\x81\xfe")
    with pytest.raises(
        WsvadError, match=r"list.list: not text in UTF-8, UTF-16 or Windows-1252 .*; copy the official one"
    ):
        read_list(path)


def test_a_video_with_two_frame_counts_is_named(tree, tmp_path):
    for path in (tree("ucf-crime")[0] / "data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "frames.csv").open("a") as file:
        file.write("Abuse001_x264.mp4,7\n")
    with pytest.raises(WsvadError, match=r"frames.csv line 292: Abuse001_x264.mp4 has \d+ frames in an earlier line"):
        open_dataset(tmp_path)


def test_a_missing_class_is_told_by_its_number_of_videos(tree, tmp_path):
    source, _ = tree("ucf-crime")
    for path in (source / "data").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / "Anomaly_Train.txt").read_text()
    (tmp_path / "Anomaly_Train.txt").write_text(text.replace("Arson/Arson101_x264.mp4\n", ""))
    told = introduce(open_dataset(tmp_path))
    assert told[0].endswith("not the official split")
    assert "train 1,609 = 809 abnormal + 800 normal (official 810 + 800)" in told[0]
    assert told[1] == "ucf-crime: 40 training videos of Arson, officially 41"


def test_an_evaluation_needs_no_training_list_but_a_fit_does(tree, tmp_path):
    source, _ = tree("msad")
    for name in ("anomaly_annotation.csv", "MSAD_I3D_WS_Test.list"):
        (tmp_path / name).write_bytes((source / "data" / name).read_bytes())
    assert len(open_dataset(tmp_path, need_training=False).videos) == 240
    with pytest.raises(WsvadError, match="no list of the training videos of msad"):
        open_dataset(tmp_path)


# ------------------------------------------------------------------------------------------------- a shipped gt.npy


def shipped(truth: trees.Truth, rule=lambda frames: frames // 16 * 16, before: int = 0, after: int = 0) -> np.ndarray:
    parts = []
    for frames, intervals in truth.values():
        label = np.zeros(frames, np.float64)
        for start, end in intervals:
            label[max(start + before, 0) : end + after] = 1
        parts.append(label[: rule(frames)])
    return np.concatenate(parts)


def moved(truth: trees.Truth) -> np.ndarray:
    """As many abnormal frames in every video, 20 of the first one's and of the second one's elsewhere."""
    first = list(truth)[:2]
    parts = {name: shipped({name: truth[name]}) for name in truth}
    return np.concatenate([np.roll(part, 20) if name in first else part for name, part in parts.items()])


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (lambda t, g: g, 0, "1,109,824 frames, 84,160 abnormal: lengths are ⌊F/16⌋·16, intervals are read as [s, e)\n"),
        (lambda t, g: shipped(t, lambda f: f, -1), 0, "lengths are every frame, intervals are read as [s−1, e)\n"),
        (lambda t, g: shipped(t, lambda f: f, 0, 1), 0, "lengths are every frame, intervals are read as [s, e]\n"),
        (
            lambda t, g: g[1:],
            1,
            "-1 frames compared with ⌊F/16⌋·16; the labels are right but stand 1 frame too early as a whole",
        ),
        (lambda t, g: np.roll(g, 1), 1, "the labels are right but stand 1 frame too late as a whole; first video"),
        (lambda t, g: np.roll(g, -3), 1, "the labels are right but stand 3 frames too early as a whole; first video"),
        (
            lambda t, g: shipped(dict(sorted(t.items(), key=lambda item: bool(item[1][1])))),
            1,
            "the labels are right but the videos are in another order, the normal ones first; first video that differs",
        ),
        (
            lambda t, g: shipped({n: t[n] for n in np.random.default_rng(0).permutation(list(t))}),
            1,
            "the labels are right but the videos are in another order, which no list here has; first video",
        ),
        (lambda t, g: moved(t), 1, "lengths are ⌊F/16⌋·16; first video that differs: Abuse001_x264, frame "),
    ],
)
def test_a_shipped_array_of_labels_is_checked_to_the_first_video_that_differs(
    tree, tmp_path, capsys, change, status, says
):
    folder, truth = tree("ucf-crime")
    np.save(tmp_path / "gt.npy", change(truth, shipped(truth)))
    assert main(["doctor", str(tmp_path / "gt.npy"), "--data", f"ucf-crime:{folder / 'data'}"]) == status
    assert says in capsys.readouterr().out


def test_labels_that_are_lost_from_a_class_on_are_found(tree, tmp_path, capsys):
    """A released array once had no label from RoadAccidents to Vandalism."""
    folder, truth = tree("ucf-crime")
    labels = shipped(truth)
    before = [name for name in truth if name < "RoadAccidents"]
    labels[sum(truth[name][0] // 16 * 16 for name in before if "Normal" not in name) :] = 0
    np.save(tmp_path / "gt.npy", labels)
    assert main(["doctor", str(tmp_path / "gt.npy"), "--data", f"ucf-crime:{folder / 'data'}"]) == 1
    lost = sum(bool(intervals) for name, (_, intervals) in truth.items() if name >= "RoadAccidents")
    said = capsys.readouterr().out
    assert "first video that differs: RoadAccidents001_x264, 0 abnormal frames where" in said
    assert f"RoadAccidents001_x264 (and {lost - 1} more of 290)" in said


def test_an_array_that_is_no_labels_or_a_dataset_without_lengths(tree, tmp_path, capsys):
    folder, truth = tree("ucf-crime")
    np.save(tmp_path / "gt.npy", np.array([0, 1, 2]))
    assert main(["doctor", str(tmp_path / "gt.npy"), "--data", f"ucf-crime:{folder / 'data'}"]) == 1
    assert "gt.npy: not an array of frame labels, 0 or 1" in capsys.readouterr().err
    np.save(tmp_path / "gt.npy", shipped(truth))
    for path in (folder / "data").glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(["doctor", str(tmp_path / "gt.npy"), "--data", f"ucf-crime:{tmp_path}"]) == 1
    assert "the length or the truth of Abuse001_x264 is not annotated (290 such)" in capsys.readouterr().err
