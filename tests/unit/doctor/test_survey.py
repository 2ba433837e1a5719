"""What a folder holds before training: each file with its reason, copies by what they do, and whether it can teach."""

import csv
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from clips import scene, walkers, write_clip
from places import SHARED

from wsvad.datasets.folder import open_folder, videos_below
from wsvad.doctor import survey as module
from wsvad.doctor.contents import contents
from wsvad.doctor.survey import Survey, survey, survey_of
from wsvad.errors import WsvadError
from wsvad.video.reader import VideoReader
from wsvad.video.results import COMMENT
from wsvad.video.writer import write_video

FIGHTS = SHARED / "data" / "cctv-fights"


def clip(path: Path, seed: int, frames: int = 60, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    images = [scene(i + 3 * seed, seed % 2 == 1, rng) for i in range(frames)]
    return write_clip(path, images, rate=20, **options)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Four clips, labelled by their folders."""
    folder = tmp_path_factory.mktemp("survey") / "gate"
    for number in range(4):
        clip(folder / ("normal", "fight")[number % 2] / f"v{number}.mp4", number)
    return folder


@pytest.fixture
def folder(videos, tmp_path) -> Path:
    """The same, to add to."""
    return Path(shutil.copytree(videos, tmp_path / "gate"))


def label(folder: Path, rows: dict[str, str], head: str = "video,label,split") -> None:
    (folder / "labels.csv").write_text("\n".join([head, *(f"{name},{rest}" for name, rest in rows.items())]))


def kinds(found: Survey) -> dict[str, str]:
    return {finding.kind: finding.level for finding in found.findings}


def test_a_half_copied_video_is_told_though_it_can_be_read(folder):
    whole = clip(folder / "normal" / "v4.mp4", 4, frames=120, muxer={"movflags": "faststart"})
    assert "cut off" not in kinds(survey(folder))
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    found = survey(folder)
    assert kinds(found)["cut off"] == "note" and not found.unread
    (finding,) = (one for one in found.findings if one.kind == "cut off")
    assert finding.videos == ("normal/v4.mp4",)
    share = 100 * (len(content) // 2) // len(content)
    assert f"normal/v4.mp4: only the first {share} % of the file are there" in finding.message


# ----------------------------------------------------------------------------------------------- what is read and not


def judged(folder: Path) -> dict[str, tuple[str, str]]:
    return {entry.file: (entry.kind, entry.reason) for entry in contents(folder, folder)}


def test_every_file_that_is_not_read_has_its_reason(folder) -> None:
    whole = (folder / "normal" / "v0.mp4").read_bytes()
    files = {
        "recorder.rec": b"\xfe\x00\x01" * 1000, "song.mp3": whole, "old.bak": whole,
        "empty.mp4": b"",
        "cut.mp4": whole[: len(whole) // 2], "reserved.mp4": bytes(100_000), "a.mp4.part": whole,
        "b.mkv.crdownload": whole, "c.tmp": b"", ".d.mp4.icloud": b"bplist00", "page.mp4": b"<!DOCTYPE html><html>",
        ".hidden.mp4": whole,
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_video(folder / "drawn.mp4", [np.zeros((16, 16, 3), np.uint8)] * 3, 25, comment=COMMENT)
    (folder / "broken.mp4").symlink_to("/nowhere/at.all")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / "tail").symlink_to("tail")
    (folder / "self").symlink_to(".")
    (folder / "normal" / "up").symlink_to("../fight")
    os.mkfifo(folder / "pipe.mp4")
    os.mkfifo(folder / "pipe")
    downloading = "still downloading, or left by a download that was interrupted; wait, or download it again"
    no_index = "without its index (moov): still downloading or recording, or cut off; copy it again"
    circle = "a link that leads in a circle; delete it"
    again = "a link to a folder that contains it, or that is read already; not followed"
    holds = "though it holds a video; rename it if that is only its name, or convert it: ffmpeg -i"
    wanted = {
        "recorder.rec": "unknown ending '.rec', and no video that can be read by its content; convert it, or move it "
        "away",
        "song.mp3": f"unknown ending '.mp3', {holds} song.mp3 -c copy song.mkv",
        "old.bak": f"unknown ending '.bak', {holds} old.bak -c copy old.mkv",
        "empty.mp4": "the file is empty (0 bytes); copy it again or leave it out",
        "cut.mp4": no_index,
        "reserved.mp4": no_index,
        "a.mp4.part": downloading,
        "b.mkv.crdownload": downloading,
        "c.tmp": downloading,
        ".d.mp4.icloud": downloading,
        "page.mp4": "an HTML page, which the server gave in place of the file; open the address in a browser and "
        "download it",
        ".hidden.mp4": "hidden (its name begins with a dot)",
        "drawn.mp4": "a video that 'wsvad score' wrote, with scores drawn in or as a clip",
        "broken.mp4": "a broken link: what it points to is not there; restore that, or delete the link",
        "circle.mp4": circle,
        "tail": circle,
        "self": again,
        "normal/up": again,
        "pipe": "a pipe, a socket or a device, not a file; move it away",
        "pipe.mp4": "a pipe, a socket or a device, not a file; move it away",
    }
    found = judged(folder)
    assert {name: reason for name, (kind, reason) in found.items() if kind == "unread"} == wanted
    assert {name for name, (kind, _) in found.items() if kind == "video"} == {
        f"{kind}/v{i}.mp4" for i, kind in enumerate(("normal", "fight") * 2)
    }


def test_what_is_no_video_is_left_alone(folder) -> None:
    clip_of_macos = b"\0\5\x16\7\0\2\0\0Mac OS X"
    others = {
        "labels.csv": b"video,label\n", "notes": b"To do: label them.", "plan.docx": b"PK\3\4" + bytes(90),
        "still.jpg": b"\xff\xd8\xff" + bytes(90), "x.safetensors": bytes(90), ".DS_Store": bytes(90),
        "normal/._v0.mp4": clip_of_macos, "utf16.dat": "video;label".encode("utf-16"), "none.bin": b"",
        "tool.exe": b"MZ" + bytes(90),
        "music.mp3": b"ID3" + bytes(90),
    }  # fmt: skip
    for name, content in others.items():
        (folder / name).write_bytes(content)
    (folder / "lost.txt").symlink_to("nowhere")
    (folder / ".git").mkdir()
    clip(folder / ".git" / "inside.mp4", 1, frames=2)
    found = judged(folder)
    assert {name for name, (kind, _) in found.items() if kind == "other"} == {*others, ".git", "lost.txt"}
    assert not [name for name, (kind, _) in found.items() if kind == "unread"]


@pytest.mark.parametrize("name", ["v0.dav", "v0.xyz", "v0.3gp", "v0.bin", "v0"])
def test_a_video_under_another_name_is_read_as_the_reader_reads_it(name, folder) -> None:
    (folder / "normal" / "v0.mp4").rename(folder / "normal" / name)
    assert judged(folder)[f"normal/{name}"] == ("video", "")
    assert f"normal/{name}" in videos_below(folder)


def test_a_linked_folder_outside_is_read_once(folder, tmp_path) -> None:
    clip(tmp_path / "disk" / "far.mp4", 5, frames=2)
    (tmp_path / "disk" / "back").symlink_to(folder)
    (folder / "normal" / "disk").symlink_to(tmp_path / "disk")
    (folder / "normal" / "same").symlink_to(tmp_path / "disk")
    (folder / "normal" / "all").symlink_to("/")
    assert "normal/disk/far.mp4" in videos_below(folder)
    assert len(videos_below(folder)) == 5
    found = judged(folder)
    assert found["normal/same"] == ("unread", "another link to the same folder; not followed again")
    assert found["normal/all"][1] == found["normal/disk/back"][1]


def test_videos_beside_the_folder_that_is_read_are_named(folder) -> None:
    (folder / "normal").rename(folder / "kept")
    (folder / "videos").mkdir()
    for name in ("kept", "fight"):
        (folder / name).rename(folder / "videos" / name.replace("kept", "normal"))
    clip(folder / "stray.mp4", 1, frames=2)
    found = survey(folder)
    assert [(entry.file, entry.reason) for entry in found.unread] == [
        ("stray.mp4", "not in videos/, from which alone videos are read; move it there")
    ]
    assert [one.name for one in found.videos][:1] == ["fight/v1.mp4"]


def test_a_folder_without_rights_is_named(folder, monkeypatch) -> None:
    """As whoever is no administrator has it."""
    scan = os.scandir

    def refused(path):
        if Path(path).name == locked:
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    locked = "fight"
    assert judged(folder)["fight"] == ("unread", "no permission to read this folder; change its rights ('chmod')")
    assert list(videos_below(folder)) == ["normal/v0.mp4", "normal/v2.mp4"]
    locked = "week.old"  # a folder's name says nothing of what is in it
    (folder / locked).mkdir()
    assert judged(folder)[locked] == ("unread", "no permission to read this folder; change its rights ('chmod')")
    locked = "gate"
    with pytest.raises(WsvadError, match=r"gate: no permission to read this folder; change its rights"):
        survey(folder)


def test_a_video_without_rights_or_pictures_is_named(folder, monkeypatch) -> None:
    (folder / "normal" / "v0.mp4").write_bytes(b"RIFF" + bytes(5000))
    (folder / "fight" / "music.avi").write_bytes((folder / "normal" / "v2.mp4").read_bytes()[:2000])
    look = module.look_at

    def broken(path: Path, name: str, **options: object):
        if path.name == "v3.mp4":
            raise OSError(5, "Input/output error")
        return look(path, name, **options)

    monkeypatch.setattr(module, "look_at", broken)
    found = survey(folder)
    reasons = {entry.file: entry.reason for entry in found.unread}
    assert set(reasons) == {"normal/v0.mp4", "fight/music.avi", "fight/v3.mp4"}
    assert reasons["fight/v3.mp4"] == "Input/output error; check the disk or the network drive"
    assert reasons["normal/v0.mp4"].startswith("not a video that can be read, or cut off")
    assert [one.name for one in found.videos] == ["fight/v1.mp4", "normal/v2.mp4"]


def test_a_drive_that_goes_away_ends_it_in_one_line(folder, monkeypatch) -> None:
    look = module.look_at

    def gone(path: Path, name: str, **options: object):
        if folder.exists():
            folder.rename(folder.with_name("elsewhere"))
        return look(path, name, **options)

    monkeypatch.setattr(module, "look_at", gone)
    with pytest.raises(WsvadError, match=r"gate: can no longer be read; connect the drive again and run the same"):
        survey(folder)


def test_a_machine_that_is_short_of_something_is_no_fault_of_a_video(folder, monkeypatch) -> None:
    def short(path: Path, name: str, **options: object):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "look_at", short)
    with pytest.raises(WsvadError, match=r"too many open files; allow more"):
        survey(folder)


def test_a_socket_is_no_file(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        assert judged(tmp_path)["s"] == ("unread", "a pipe, a socket or a device, not a file; move it away")


# ------------------------------------------------------------------------------------------------------ can it teach


def test_classes_and_splits_are_counted(folder) -> None:
    label(folder, {f"{'normal' if i % 2 == 0 else 'fight'}/v{i}.mp4": f"{i % 2},train" for i in range(4)})
    with pytest.raises(WsvadError):
        label(folder, {}, head="nothing")
        open_folder(folder)
    label(folder, {"normal/v0.mp4": "0,train", "fight/v1.mp4": "1,train", "normal/v2.mp4": "0,test",
                   "fight/v3.mp4": "1,train"})  # fmt: skip
    found = survey(folder)
    assert [(split, kind, count) for split, kind, count, _ in found.rows()] == [
        ("train", "normal", 1), ("train", "abnormal", 2), ("test", "normal", 1)
    ]  # fmt: skip
    assert found.rows()[1][3] == pytest.approx(2 * 3 / 3600, rel=0.01)
    assert found.hours == pytest.approx(4 * 3 / 3600, rel=0.01)
    assert (found.labelled, found.drawn) == (True, False)


def test_two_videos_are_too_few(videos, tmp_path) -> None:
    for name in ("normal/v0.mp4", "fight/v1.mp4"):
        (tmp_path / name).parent.mkdir()
        os.link(videos / name, tmp_path / name)
    found = survey(tmp_path)
    (finding,) = found.findings
    assert (finding.kind, finding.level) == ("few videos", "wrong")
    assert finding.message == ("only 1 normal and 1 abnormal training videos: the detector will know little but these")
    assert finding.remedy.startswith("add videos, 10 of each class at least")


def test_one_class_is_refused_as_training_refuses_it(folder) -> None:
    for path in (folder / "fight").iterdir():
        path.unlink()
    clip(folder / "normal" / "v4.mp4", 4)
    found = survey(folder)
    assert kinds(found) == {"labels": "wrong"}
    assert "no abnormal training video; learning needs both, normal (0) and abnormal (1)" in found.findings[0].message
    assert len(found.videos) == 3
    assert not found.labelled


def test_a_class_of_which_no_video_can_be_read_is_missing(folder) -> None:
    for path in (folder / "fight").iterdir():
        path.unlink()
        path.write_bytes(b"")
    found = survey(folder)
    assert kinds(found) == {"few videos": "wrong"}
    assert "only 1 normal and 0 abnormal training videos" in found.findings[0].message


def test_few_videos_are_a_note_and_rare_categories_are_named(folder) -> None:
    label(
        folder,
        {"normal/v0.mp4": "0,", "fight/v1.mp4": "1,fight", "normal/v2.mp4": "0,", "fight/v3.mp4": "1,fall"},
        head="video,label,category",
    )
    found = survey_of(folder, open_folder(folder, split=dict.fromkeys(videos_below(folder), "train")), thorough=False)
    assert kinds(found) == {"few videos": "note", "rare categories": "note"}
    assert found.findings[1].message == "one training video alone shows: fight, fall"
    assert not found.wrong


def test_labels_that_do_not_fit_are_said_and_the_videos_are_surveyed(folder) -> None:
    label(folder, {"gone.mp4": "1,train"})
    found = survey(folder)
    assert kinds(found) == {"labels": "wrong"}
    assert "line 2: no file 'gone.mp4'" in found.findings[0].message
    assert len(found.videos) == 4
    assert found.as_dict()["split"] is None


def test_a_folder_without_labels_is_surveyed(folder) -> None:
    (folder / "normal").rename(folder / "gate-1")
    clip(folder / "loose.mp4", 5)
    found = survey(folder)
    assert (found.labelled, found.findings) == (False, ())
    assert found.rows() == [("", "video", 5, pytest.approx(15 / 3600, rel=0.01))]


def test_a_folder_without_videos_says_so(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    assert kinds(survey(tmp_path)) == {"no videos": "wrong"}
    with pytest.raises(WsvadError, match="there is no such folder"):
        survey(tmp_path / "nowhere")


# ------------------------------------------------------------------------------------------------------------- copies


def test_copies_are_told_by_what_they_do(folder) -> None:
    os.link(folder / "fight" / "v1.mp4", folder / "fight" / "again.mp4")
    os.link(folder / "fight" / "v3.mp4", folder / "normal" / "other.mp4")
    write_clip(folder / "normal" / "walk.mp4", walkers(0, 80), rate=20)
    write_clip(folder / "normal" / "test.avi", walkers(0, 80), rate=20, codec="mjpeg", pix_fmt="yuvj420p")
    label(folder, {"normal/v0.mp4": "0,train", "fight/v1.mp4": "1,train", "normal/v2.mp4": "0,train",
                   "fight/v3.mp4": "1,train", "fight/again.mp4": "1,train", "normal/other.mp4": "0,train",
                   "normal/walk.mp4": "0,train", "normal/test.avi": "0,test"})  # fmt: skip
    found = survey(folder)
    said = {finding.kind: finding for finding in found.findings}
    assert {kind: finding.level for kind, finding in said.items()} == {
        "few videos": "note", "labels of copies": "wrong", "test and training overlap": "wrong", "copies": "note"
    }  # fmt: skip
    assert said["labels of copies"].videos == ("fight/v3.mp4", "normal/other.mp4")
    assert said["test and training overlap"].message == (
        "a test video shows what a training video shows: normal/walk.mp4 and normal/test.avi (same pictures, encoded "
        "another time)"
    )
    assert said["copies"].message.endswith("fight/v1.mp4 and fight/again.mp4 (same bytes)")
    quick = survey_of(folder, open_folder(folder), thorough=False)
    assert {one.how for one in quick.copies} == {"bytes"}


def test_shortcuts_are_of_training_videos(tmp_path) -> None:
    """Of 8 and 8, where the abnormal ones are of another size; those for testing are all of one."""
    rows = {}
    for number in range(24):
        abnormal, test = number % 2, number >= 16
        size = (64, 48) if abnormal and not test else (32, 24)
        write_clip(tmp_path / f"{number}.mp4", 3 + number % 3, size=size, first=number)
        rows[f"{number}.mp4"] = f"{abnormal},{'brawl' if abnormal else ''},{'test' if test else 'train'}"
    label(tmp_path, rows, head="video,label,category,split")
    found = survey(tmp_path)
    (camera,) = [finding for finding in found.findings if "camera" in finding.message]
    assert camera.level == "wrong" and camera.kind == "shortcut"
    assert camera.message.startswith("all 8 brawl videos are 64x48 and all 8 normal ones 32x24 (AUC 100)")
    assert found.as_dict()["shortcuts"]["found"][0] == {"fact": "size", "auc": 1.0, "p": found.shortcuts.found[0].p}


@pytest.mark.real
@pytest.mark.skipif(not FIGHTS.is_dir(), reason="the footage of cctv-fights is not here")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("size", "all 12 fight videos are 160x120 and all 12 normal ones 320x240"),
        ("rate", "all 12 fight videos are at 30 fps and all 12 normal ones at 20 fps"),
        ("codec", "all 12 fight videos are mpeg4 and all 12 normal ones h264"),
    ],
)
def test_a_class_that_was_encoded_another_time_is_named(change, words, tmp_path) -> None:
    rows = list(csv.DictReader((FIGHTS / "labels.csv").open()))
    for row in [row for kind in ("0", "1") for row in [r for r in rows if r["label"] == kind][:12]]:
        path = FIGHTS / "videos" / row["video"]
        there = tmp_path / ("fight" if row["label"] == "1" else "normal") / row["video"]
        there.parent.mkdir(exist_ok=True)
        if row["label"] == "0":
            there.symlink_to(path)
            continue
        with VideoReader(path, threads=1) as video:
            size = (160, 120) if change == "size" else (video.info.width, video.info.height)
            images = [frame.array(size) for frame in video]
        rate = 30 if change == "rate" else 20
        write_clip(there, images, rate=rate, codec="mpeg4" if change == "codec" else "libx264", crf="20")
    found = survey(tmp_path)
    assert any(finding.message.startswith(words) for finding in found.findings if finding.kind == "shortcut")
