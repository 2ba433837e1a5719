"""Folders of labelled videos: what is read, and what every mistake is told as."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.division import folds, hold_out
from wsvad.datasets.folder import open_folder, unlabelled_videos, videos_below, videos_in
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.video.results import COMMENT
from wsvad.video.writer import write_video

LABELS = (
    "video,label,category,split\na.mp4,0,,train\nb.mp4,abnormal,fight,train\nc.mp4,1,fight,test\nd.mp4,normal,,test\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / f"{name}.mp4").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "intervals.csv").write_text("video,category,start_frame,end_frame\nc.mp4,fight,10,20\nc.mp4,,30,40\n")
    return tmp_path


def test_reads_labels_splits_and_truth(folder):
    dataset = open_folder(folder)
    assert [video.name for video in dataset.train] == ["a.mp4", "b.mp4"]
    a, b, c, d = dataset.videos
    assert (a.label, a.category, a.intervals) == (0, "normal", ())
    assert (b.label, b.category, b.intervals) == (1, "fight", None)
    assert c.intervals == (Interval(start=10, end=20, category="fight"), Interval(start=30, end=40, category="fight"))
    assert (d.split, d.path) == ("test", folder / "d.mp4")


def test_a_camera_may_be_any_text_and_unknown_ones_are_none(folder):
    cells = ["Gate 2, north", "-", "Unknown", "007"]
    rows = [
        f'{name}.mp4,{label},{split},"{cell}"'
        for name, label, split, cell in zip(
            "abcd", (0, 1, 1, 0), ("train", "train", "test", "test"), cells, strict=True
        )
    ]
    (folder / "labels.csv").write_text("\n".join(["video,label,split,Camera", *rows]) + "\n")
    dataset = open_folder(folder)
    assert [video.camera for video in dataset.videos] == ["Gate 2, north", None, None, "007"]
    assert "camera" not in dataset.understood  # as a column that is not read
    (folder / "labels.csv").write_text("\n".join(["video,label,split,camera", *rows, rows[0].replace("2", "3")]) + "\n")
    with pytest.raises(WsvadError, match=r"a\.mp4 has two rows that contradict each other.+camera Gate 3, north"):
        open_folder(folder)


def test_videos_may_lie_in_a_subfolder_and_labels_beside_it(folder):
    (folder / "videos").mkdir()
    for name in "abcd":
        (folder / f"{name}.mp4").rename(folder / "videos" / f"{name}.mp4")
    assert open_folder(folder).videos[0].path == folder / "videos" / "a.mp4"
    assert open_folder(folder / "videos").videos[0].path == folder / "videos" / "a.mp4"
    assert open_folder(folder / "videos").name == folder.name


def test_a_byte_order_mark_and_spaces_do_no_harm(folder):
    (folder / "labels.csv").write_text(LABELS.replace(",", ", "), encoding="utf-8-sig")
    assert len(open_folder(folder).videos) == 4


def test_names_of_columns_may_have_capitals_and_spaces(folder):
    (folder / "labels.csv").write_text(LABELS.replace("video,label,category,split", "Video ,Label, Category,Split "))
    assert [video.split for video in open_folder(folder).videos] == ["train", "train", "test", "test"]


def test_a_folder_in_the_place_of_a_table_is_one_line(folder):
    with pytest.raises(WsvadError, match="not a file that can be read"):
        open_folder(folder, labels=folder)


def test_train_and_test_lists_stand_for_a_split(folder):
    (folder / "labels.csv").unlink()
    (folder / "train.csv").write_text("video,label,frames\na.mp4,0,50\nb.mp4,1,60\n")
    (folder / "test.csv").write_text("video,label\nc.mp4,1\nd.mp4,0\n")
    dataset = open_folder(folder, need_videos=False)
    assert [video.split for video in dataset.videos] == ["train", "train", "test", "test"]
    assert dataset.videos[0].frames == 50


def test_subfolders_are_labels(tmp_path):
    for name in ("normal/a.mp4", "normal/b.mp4", "fight/a.mp4", "fall/c.mp4", "fall/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    dataset = open_folder(tmp_path)
    found = {video.name: (video.label, video.category) for video in dataset.videos}
    assert found["fight/a.mp4"] == (1, "fight")
    assert found["normal/b.mp4"] == (0, "normal")
    assert dataset.test
    assert {video.label for video in dataset.train} == {0, 1}


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("video,label\na.mp4,0\na.mp4,1\n", "a.mp4 has two rows"),
        ("video,label\n,0\n", "line 2: the video's name is missing"),
        ("video,label\na.mp4,2\n", "label '2' of a.mp4; b.mp4: has no row"),
        (LABELS.replace("abnormal,fight", "1,fight; Normal"), "abnormal but of the category 'fight; Normal'"),
        ("video,label\na.mp4,0\nb.mp4,1\nc.mp4,1\n", "d.mp4: has no row in"),
        (LABELS + "e.mp4,0,,train\n", "line 6: no file 'e.mp4'; correct the name, add the file to"),
        (
            LABELS.replace("test", "later"),
            "line 4: split 'later' of c.mp4; line 5: split 'later' of d.mp4; use train or test",
        ),
        ("video\na.mp4\n", "no column 'label'"),
        ("video,label\n", "no rows"),
        ("video,label,frames\na.mp4,0,-3\n", "frames '-3' of a.mp4"),
        ("video,label,frames\na.mp4,0,²\n", "frames '²' of a.mp4"),
        (f"video,label,frames\na.mp4,0,{'9' * 5000}\n", "9…99999999999999999999' of a.mp4"),
        ("video,label,label\na.mp4,0,1\n", "two columns are called 'label'"),
        ("video,label\n../a.mp4,0\n", "lies outside the folder"),
        (LABELS.replace("abnormal,fight,train", "0,,train"), "no abnormal training video"),
        (LABELS.replace("b.mp4,abnormal,fight,train", "b.mp4,1,fight,test"), "1 training videos"),
    ],
)
def test_every_mistake_in_labels_is_one_line(folder, labels, says):
    (folder / "labels.csv").write_text(labels)
    (folder / "intervals.csv").unlink()
    with pytest.raises(WsvadError) as error:
        open_folder(folder)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("x.mp4,fight,0,5\n", "no video is called 'x.mp4'"),
        ("d.mp4,fight,0,5\n", "d.mp4 is labelled normal but has an interval"),
        ("c.mp4,fight,5,5\n", "interval [5, 5) of c.mp4 is empty"),
        ("c.mp4,fight,a,5\n", "must be whole numbers"),
        ("b.mp4,fight,0,5\n", "abnormal test video c.mp4 has no interval"),
    ],
)
def test_every_mistake_in_intervals_is_one_line(folder, rows, says):
    (folder / "intervals.csv").write_text("video,category,start_frame,end_frame\n" + rows)
    with pytest.raises(WsvadError) as error:
        open_folder(folder)
    assert says in str(error.value)


def test_a_row_that_names_no_video_file(folder):
    (folder / "notes.txt").write_text("x")
    (folder / "labels.csv").write_text(LABELS + "notes.txt,0,,train\n")
    with pytest.raises(WsvadError, match=r"notes.txt: not a video by its ending"):
        open_folder(folder)


def test_a_row_whose_folder_no_disk_can_have(folder):
    (folder / "labels.csv").write_text(f"{LABELS}{'x/' * 3000}e.mp4,0,,train\n")
    with pytest.raises(WsvadError, match=r"labels\.csv line 6: .*x/x/x"):
        open_folder(folder)


def test_an_empty_or_missing_folder(tmp_path):
    with pytest.raises(WsvadError, match=r"no labels\.csv and no videos"):
        open_folder(tmp_path)
    with pytest.raises(WsvadError, match="no such folder"):
        open_folder(tmp_path / "x")


def test_videos_without_labels_are_found_below_the_folder(tmp_path):
    (tmp_path / "day").mkdir()
    for name in ("day/a.MP4", "b.avi", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert [name for name, _ in unlabelled_videos(tmp_path)] == ["b.avi", "day/a.MP4"]


COMPOSED, APART = "caf\u00e9.mp4", "cafe\u0301.mp4"


@pytest.mark.parametrize("need_videos", [True, False])
@pytest.mark.parametrize("on_disk", [COMPOSED, APART])
def test_rows_name_files_in_every_spelling(tmp_path, on_disk, need_videos):
    """As Windows, macOS and people write them; `intervals.csv` may spell otherwise than `labels.csv`."""
    for name in ("sub/a.mp4", on_disk, "c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "labels.csv").write_text(f"video,label,split\nsub\\a.mp4,0,train\n./{APART},1,test\nsub/../c.mp4,1,\n")
    with pytest.raises(WsvadError, match=r"line 4: sub/../c.mp4 lies outside"):
        open_folder(tmp_path, need_videos=need_videos)
    (tmp_path / "labels.csv").write_text(f"video,label,split\nsub\\a.mp4,0,train\n./{APART},1,test\n.//c.mp4,1,\n")
    (tmp_path / "intervals.csv").write_text(f"video,start_frame,end_frame\n{COMPOSED},1,2\n.\\{APART},3,4\n")
    dataset = open_folder(tmp_path, need_videos=need_videos)
    assert {video.name: video.path for video in dataset.videos} == {
        "sub/a.mp4": tmp_path / "sub" / "a.mp4", COMPOSED: tmp_path / on_disk, "c.mp4": tmp_path / "c.mp4",
    }  # fmt: skip
    assert [interval.start for interval in dataset.test[0].intervals] == [1, 3]


@pytest.mark.skipif(os.name == "nt", reason="a backslash is no letter there")
@pytest.mark.parametrize("need_videos", [True, False])
@pytest.mark.parametrize("row", ["sub\\d.mp4", "sub/d.mp4"])
def test_a_backslash_may_be_a_letter_of_a_file(folder, row, need_videos):
    """Archives that were packed on Windows leave such names."""
    (folder / "sub\\d.mp4").write_bytes(b"")
    (folder / "labels.csv").write_text(f"{LABELS}{row},0,,train\n")
    found = open_folder(folder, need_videos=need_videos).videos[-1]
    assert (found.name, found.path) == ("sub/d.mp4", folder / "sub\\d.mp4")


def test_what_we_drew_is_no_video(folder):
    write_video(folder / "e.mp4", [np.zeros((16, 16, 3), np.uint8)], 25, comment=COMMENT)
    drawn = folder / "e.mp4"
    assert [video.name for video in open_folder(folder).videos] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert [name for name, _ in videos_in([folder])] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert [name for name, _ in videos_in([drawn, folder / "b.mp4"])] == ["b.mp4"]
    with pytest.raises(
        WsvadError, match=r"e\.mp4: a video that 'wsvad score' wrote, .*; give the video that it was made from"
    ):
        videos_in([drawn])
    (folder / "labels.csv").write_text(LABELS + "e.mp4,0,,train\n")
    with pytest.raises(
        WsvadError, match=r"e\.mp4: a video that 'wsvad score' wrote, .*; delete its row in labels\.csv"
    ):
        open_folder(folder)


def test_what_cannot_be_reached_and_may_be_a_video_is_named(tmp_path, monkeypatch):
    scan = os.scandir

    def refused(path):
        if Path(path).name == "notes.old":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    (tmp_path / "disk" / "notes.old").mkdir(parents=True)
    for name in ("disk/lost.mp4", "disk/lost", "disk/lost.txt", "disk/.lost.mp4"):
        (tmp_path / name).symlink_to("nowhere")
    (tmp_path / "disk" / "all").symlink_to(tmp_path)  # nothing in it is lost
    monkeypatch.setattr(os, "scandir", refused)
    disk = tmp_path / "disk"
    found: dict[Path, str] = {}
    assert unlabelled_videos(tmp_path, found) == []
    assert {str(file): reason.split("; ")[0] for file, reason in found.items()} == {
        f"{disk}/lost": f"{disk}/lost: a broken link: what it points to is not there",
        f"{disk}/lost.mp4": f"{disk}/lost.mp4: a broken link: what it points to is not there",
        f"{disk}/notes.old": f"{disk}/notes.old: no permission to read this folder",
    }
    with pytest.raises(WsvadError, match=r"lost: a broken link"):
        videos_in([tmp_path])
    (disk / "a.mp4").write_bytes(b"")
    assert [name for name, _ in videos_in([tmp_path])] == ["disk/a.mp4"]


def test_two_rows_of_one_file_are_told(folder):
    (folder / "labels.csv").write_text(LABELS + ".\\a.mp4,0,,train\n")
    with pytest.raises(WsvadError, match=r"a\.mp4 has two rows"):
        open_folder(folder)


def test_two_files_of_one_name_are_told(tmp_path):
    for name in (COMPOSED, APART):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(WsvadError, match=r"'caf.+\.mp4' and 'caf.+\.mp4' are the same name on other systems"):
        unlabelled_videos(tmp_path)


def test_subfolders_and_loose_videos_have_composed_names(tmp_path):
    for place in ("normal", "cafe\u0301"):
        for name in "ab":
            (tmp_path / "videos" / place / f"{name}.mp4").mkdir(parents=True)
            (tmp_path / "videos" / place / f"{name}.mp4" / "x.mp4").write_bytes(b"")
    names = ["caf\u00e9/a.mp4/x.mp4", "caf\u00e9/b.mp4/x.mp4", "normal/a.mp4/x.mp4", "normal/b.mp4/x.mp4"]
    dataset = open_folder(tmp_path)
    assert [(video.name, video.category) for video in dataset.videos] == [(n, n.partition("/")[0]) for n in names]
    assert [name for name, _ in unlabelled_videos(tmp_path)] == names
    assert [name for name, _ in videos_in([tmp_path])] == names
    assert list(videos_below(tmp_path)) == [f"videos/{name}" for name in names]
    (tmp_path / "c.mp4").write_bytes(b"")
    assert [name for name, _ in videos_in([tmp_path])] == ["c.mp4", *(f"videos/{name}" for name in names)]


@given(
    st.lists(st.sampled_from(["normal", "fight", "fall"]), min_size=1, max_size=40),
    st.floats(0.05, 0.5),
    st.integers(0, 9),
)
def test_the_hold_out_is_a_stratified_seeded_partition(categories, share, seed):
    videos = [
        LabelledVideo(name=str(i), label=int(c != "normal"), category=c, split="train")
        for i, c in enumerate(categories)
    ]
    kept, out = hold_out(videos, share, seed)
    assert sorted(kept + out) == sorted(video.name for video in videos)
    assert (kept, out) == hold_out(videos, share, seed)
    for label in (0, 1):
        of_label = [video for video in videos if video.label == label]
        held = [video for video in of_label if video.name in out]
        assert len(held) < len(of_label) or not of_label
        assert bool(held) == (len(of_label) > 1)
        for category in {video.category for video in of_label}:
            size = sum(video.category == category for video in of_label)
            assert abs(sum(video.category == category for video in held) - share * size) <= 1.0


def named(categories):
    return [
        LabelledVideo(name=str(i), label=int(c != "normal"), category=c, split="train")
        for i, c in enumerate(categories)
    ]


@given(
    st.lists(st.sampled_from(["normal", "fight", "fall"]), min_size=1, max_size=40),
    st.integers(2, 12),
    st.integers(0, 9),
)
def test_folds_deal_out_each_category_evenly_and_leave_each_fit_something_to_learn_from(categories, count, seed):
    videos = named(categories)
    sizes = [sum(video.label == label for video in videos) for label in (0, 1)]
    found = folds(videos, count, seed)
    assert found == folds(videos, count, seed)
    assert len(found) == (min(count, sizes[0]) if sizes[0] > 1 else 0)
    dealt = [name for fold in found for name in fold]
    assert len(dealt) == len(set(dealt))
    if found:
        assert set(dealt) == {video.name for video in videos if sizes[video.label] > 1}
    for fold in found:
        assert fold == sorted(fold, key=int)
        kept = {video.label for video in videos if video.name not in fold}
        assert kept == {video.label for video in videos}
        assert any(video.label == 0 for video in videos if video.name in fold)
    for group in ({"normal", "fight", "fall"}, {"normal"}, {"fight", "fall"}, {"fight"}, {"fall"}):
        each = [sum(video.category in group for video in videos if video.name in fold) for fold in found]
        assert not each or max(each) - min(each) <= 1


def test_two_normal_videos_and_one_abnormal_make_two_folds_of_the_normal_ones():
    assert sorted(folds(named(["normal", "fight", "normal"]), 5, 0)) == [["0"], ["2"]]
    assert folds(named(["normal", "fight", "fight"]), 5, 0) == []


def test_another_seed_deals_otherwise():
    videos = named(["normal"] * 20 + ["fight"] * 20)
    assert folds(videos, 5, 0) != folds(videos, 5, 1)
