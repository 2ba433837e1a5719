"""`wsvad check`, and the first lines of `train`, through the command line: what is said, and the exit status."""

import json
import shutil
from pathlib import Path

import pytest
from clips import walkers, write_clip

from wsvad.cli.main import main
from wsvad.cli.surveys import amount

QUICK = ["--method", "mil", "--rgb", "motion", "--iterations", "4", "--points", "2", "--segments", "4", "--bags", "2",
         "--hold-out", "0", "--workers", "0"]  # fmt: skip


@pytest.fixture(scope="module")
def filmed(tmp_path_factory) -> Path:
    """Twelve videos of either class, of one camera, and a table of their labels."""
    folder, rows = tmp_path_factory.mktemp("check") / "gate", ["video,label,category,split"]
    folder.mkdir()
    for number in range(24):
        write_clip(folder / f"v{number:02}.mp4", walkers(number, 50 + number % 5), rate=20)
        split = "test" if number >= 20 else "train"
        rows.append(f"v{number:02}.mp4,{number % 2},{'fight' if number % 2 else ''},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def folder(filmed, tmp_path) -> Path:
    return Path(shutil.copytree(filmed, tmp_path / "gate"))


def check(capsys, *words: object) -> tuple[int, list[str]]:
    status = main(["check", *map(str, words)])
    said = capsys.readouterr()
    return status, said.out.splitlines()


def test_a_sound_folder_has_nothing_to_fix(folder, capsys) -> None:
    status, lines = check(capsys, folder)
    assert status == 0
    assert lines[0] == f"{folder}: 24 videos, 1 min"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows == [
        ["training", "normal", "10", "26 s"], ["training", "fight", "10", "26 s"],
        ["test", "normal", "2", "5 s"], ["test", "fight", "2", "5 s"],
    ]  # fmt: skip
    assert lines[-2:] == [
        "no videos, left alone: 1 (labels.csv)",
        "nothing else found: no copies, no shortcut, enough videos to begin with",
    ]


def test_files_that_are_not_read_are_named_with_status_3(folder, capsys) -> None:
    (folder / "recorder.rec").write_bytes(bytes(range(256)) * 50)
    (folder / "v99.mp4.part").write_bytes(b"x")
    (folder / "a\x1b[31m.mp4").symlink_to("nowhere")
    status, lines = check(capsys, folder)
    assert status == 3
    place = lines.index("not read: 3 files")
    assert lines[place + 1 : place + 4] == [
        "  a\\x1b[31m.mp4: a broken link: what it points to is not there; restore that, or delete the link",
        "  recorder.rec: unknown ending '.rec', and no video that can be read by its content; convert it, or move it "
        "away",
        "  v99.mp4.part: still downloading, or left by a download that was interrupted; wait, or download it again",
    ]


def test_many_files_are_counted(folder, capsys) -> None:
    for number in range(30):
        (folder / f"x{number:02}.part").write_bytes(b"")
    _, lines = check(capsys, folder)
    assert "not read: 30 files" in lines
    assert "  … and 10 more; --json lists all" in lines


def test_what_has_to_be_fixed_is_status_1(folder, capsys) -> None:
    shutil.copy(folder / "v00.mp4", folder / "v22.mp4")
    for number in range(1, 20, 2):
        write_clip(folder / f"v{number:02}.mp4", walkers(number, 80 + number % 5, 30), rate=30)
    status, lines = check(capsys, folder)
    assert status == 1
    place = lines.index("findings:")
    assert lines[place + 1 : place + 3] == [
        "  wrong  test and training overlap: a test video shows what a training video shows: v00.mp4 and v22.mp4 (same "
        "bytes)",
        "         → put both into the same split, or delete one; results on videos known from training are too good",
    ]
    assert (
        "  wrong  shortcut: all 10 fight videos are at 30 fps and all 10 normal ones at 20 fps (AUC 100): a detector "
        "may learn the camera instead of the event"
    ) in lines
    assert "         → add normal footage of the same camera" in lines


def test_the_json_has_a_stable_shape(folder, capsys) -> None:
    shutil.copy(folder / "v00.mp4", folder / "v02.mp4")
    (folder / "v99.mp4.part").write_bytes(b"x")
    status = main(["check", str(folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == 3
    assert list(found) == [
        "form", "folder", "labelled", "split", "hours", "classes", "videos", "not_read", "other_files", "copies",
        "shortcuts", "findings",
    ]  # fmt: skip
    assert (found["form"], found["split"], found["labelled"]) == ("wsvad check 1", "given", True)
    assert found["classes"][0] == {
        "split": "train", "class": "normal", "videos": 10, "hours": pytest.approx(26 / 3600, rel=0.05)
    }  # fmt: skip
    assert found["videos"][1] == {
        "video": "v01.mp4", "label": 1, "category": "fight", "split": "train", "seconds": pytest.approx(2.55),
        "size": "96x72", "rate": 20.0, "codec": "h264", "container": "mov", "sound": None,
        "bits_per_second": pytest.approx(8 * (folder / "v01.mp4").stat().st_size / 2.55), "hour": None,
    }  # fmt: skip
    assert found["not_read"][0]["file"] == "v99.mp4.part"
    assert found["other_files"] == ["labels.csv"]
    assert found["copies"] == [{"videos": ["v00.mp4", "v02.mp4"], "how": "bytes"}]
    assert found["shortcuts"]["found"] == [] and found["shortcuts"]["p"] > 0.01
    (finding,) = found["findings"]
    assert (finding["kind"], finding["level"], finding["videos"]) == ("copies", "note", ["v00.mp4", "v02.mp4"])
    assert set(finding) == {"kind", "level", "message", "remedy", "videos", "repair"}


def test_labels_and_intervals_are_checked_as_training_reads_them(folder, capsys) -> None:
    (folder / "mine.csv").write_text("video,label\nv00.mp4,2\n")
    status, lines = check(capsys, folder, "--labels", folder / "mine.csv")
    assert status == 1
    assert any("  wrong  labels: " in line and "mine.csv" in line for line in lines)
    assert lines[0] == f"{folder}: 24 videos, 1 min"
    (folder / "truth.csv").write_text("video,start_frame,end_frame\nnobody.mp4,1,2\n")
    status, lines = check(capsys, folder, "--intervals", folder / "truth.csv")
    assert status == 1 and any("nobody.mp4" in line for line in lines)


def test_videos_without_labels(folder, capsys) -> None:
    (folder / "labels.csv").unlink()
    status, lines = check(capsys, folder)
    assert status == 0
    assert lines == [
        f"{folder}: 24 videos, 1 min",
        "no labels: no labels.csv, and no subfolder called normal; nothing is said about labels",
    ]


def test_a_folder_that_is_not_there(tmp_path, capsys) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err == f"wsvad: {tmp_path / 'nowhere'}: there is no such folder\n"


def test_training_begins_with_it_in_short(tmp_path, capsys) -> None:
    folder = tmp_path / "gate"
    for number in range(6):
        (folder / ("normal", "fight")[number % 2]).mkdir(parents=True, exist_ok=True)
        path = folder / ("normal", "fight")[number % 2] / f"v{number}.mp4"
        write_clip(path, walkers(number, 18), rate=20)
    (folder / "labels.csv").write_text(
        "video,label,split\nnormal/v0.mp4,0,train\nfight/v1.mp4,1,train\nnormal/v2.mp4,0,test\nfight/v3.mp4,1,test\n"
        "normal/v4.mp4,0,train\nfight/v5.mp4,1,train\n"
    )
    shutil.copy(folder / "normal" / "v0.mp4", folder / "normal" / "v2.mp4")
    (folder / "recorder.rec").write_bytes(bytes(range(256)) * 50)
    (folder / "empty.dat").write_bytes(b"")
    (folder / "left.part").write_bytes(b"")
    (folder / "fight" / "v5.mp4").write_bytes(b"RIFF" + bytes(5000))
    assert main(["train", str(folder), "--out", str(tmp_path / "run"), *QUICK]) == 3
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("check: ")]  # how far it is
    assert said[:4] == [
        "5 videos, 4 s (training: 2 normal, 1 abnormal; test: 1 normal, 1 abnormal)",
        "not read: left.part: still downloading, or left by a download that was interrupted; wait, or download it "
        "again; 1 more, see 'wsvad check'",
        "few videos: only 2 normal and 1 abnormal training videos: the detector will know little but these; add "
        "videos, 10 of each class at least, of different days and people",
        "test and training overlap: a test video shows what a training video shows: normal/v0.mp4 and normal/v2.mp4 "
        "(same bytes); put both into the same split, or delete one; results on videos known from training are too good",
    ]
    # What cannot be decoded is said where it is skipped.
    assert not any("v5.mp4" in line for line in said[:4])
    assert any("v5.mp4" in line for line in said[4:] if line.startswith("skipped: "))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.8, "1 min"), (3569, "59 min"), (3599, "1.0 h"), (9e6, "2,500.0 h")],
)
def test_amounts_of_video(seconds: float, words: str) -> None:
    assert amount(seconds / 3600) == words
