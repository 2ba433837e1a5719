"""The plan of an extraction, against the extraction."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from raw_streams import write_raw

from wsvad.cli.main import main
from wsvad.doctor import plan as module
from wsvad.features.store import load


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Three videos of two rates, one of which is in a folder of its own, and a file that is none."""
    folder = tmp_path_factory.mktemp("plan") / "videos"
    (folder / "yard").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, frames, rate in (("a.mp4", 100, 25), ("b.mp4", 33, 10), ("yard/a.mp4", 16, 25)):
        write_clip(folder / name, [scene(i, True, rng) for i in range(frames)], rate=rate)
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    return folder


def planned(capsys, *words: str) -> dict:
    assert main(["extract", *words, "--plan", "--json"]) == 3
    return json.loads(capsys.readouterr().out)


def everything(place: Path) -> list[Path]:
    return sorted(place.rglob("*"))


@pytest.fixture
def quick(monkeypatch):
    """50 frames a second, without a try."""
    one = module.Measured(seconds=2.0, frames=100, shares={"decode": 0.7, "write": 0.3}, expected=60)
    monkeypatch.setattr(module, "measure", lambda *_: one)


@pytest.mark.parametrize("rate", [[], ["--rate", "8"]])
def test_it_is_what_the_extraction_comes_to(videos, tmp_path, capsys, quick, rate):
    out, before = tmp_path / "features", everything(videos.parent)
    command = [str(videos), "--rgb", "motion", "--stream", "two=flow+motion", "--out", str(out), *rate]
    found = planned(capsys, *command)
    assert not out.exists() and everything(videos.parent) == before, "nothing is written"
    assert (found["videos"], found["hours"]) == (3, pytest.approx((4 + 3.3 + 0.64) / 3600))
    assert [one["file"] for one in found["not_read"]] == ["broken.mp4"]
    assert main(["extract", *command, "--workers", "0"]) == 3
    made = {stream: [load(path) for path in (out / stream).rglob("*.safetensors")] for stream in ("rgb", "two")}
    assert found["left"]["frames"] == sum(one.passport.frames for one in made["rgb"]) == 149
    for one in found["streams"]:
        stored = made[one["stream"]]
        assert one["snippets"] == sum(len(each.features) for each in stored)
        assert one["shape"] == list(stored[0].features.shape[1:]) and one["encoder"] == stored[0].passport.encoder
        bytes_ = sum(path.stat().st_size for path in (out / one["stream"]).rglob("*.safetensors"))
        assert one["bytes"] == pytest.approx(bytes_, rel=0.1)
    assert found["left"]["seconds"] == pytest.approx(149 / 50)
    assert found["left"]["bytes"] == sum(one["bytes"] for one in found["streams"])
    assert found["free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    (out / "two" / "b.mp4.safetensors").unlink()
    rest = planned(capsys, *command)
    assert (rest["left"]["videos"], rest["left"]["frames"]) == (1, 33)
    assert [one["videos"] for one in rest["streams"]] == [0, 1]
    assert main(["extract", *command, "--workers", "0"]) == 3
    capsys.readouterr()
    assert main(["extract", *command, "--plan"]) == 3
    told = capsys.readouterr()
    assert "3 videos, 8 s; 3 of them have their features in" in told.out and "nothing is left to do" in told.out
    assert "broken.mp4" in told.err


def test_it_is_measured_by_doing_it(videos, tmp_path, capsys):
    found = planned(capsys, str(videos), "--rgb", "motion", "--workers", "1", "--out", str(tmp_path / "f"))
    measured = found["measured"]
    assert measured["frames"] == 149, "all there is takes less than a minute"
    assert measured["frames_per_second"] == pytest.approx(149 / measured["seconds"])
    assert found["left"]["seconds"] == pytest.approx(measured["seconds"])
    assert sum(measured["shares"].values()) == pytest.approx(1) and found["workers"] == 1


def test_the_rest_is_reckoned_from_a_minute(videos, tmp_path, capsys, quick):
    assert main(["extract", str(videos), "--rgb", "motion", "--out", str(tmp_path / "f"), "--plan"]) == 3
    told = capsys.readouterr().out
    assert (
        "measured: 50 frames/s over 2 s (" in told
        and "decode 70%, write 30%)" in told
        and "time: about 3 s for 149 frames" in told
    )


def test_videos_that_do_not_say_how_long_they_are_count_by_their_bytes(tmp_path, capsys, quick):
    folder = tmp_path / "videos"
    folder.mkdir()
    for frames in (20, 40):
        write_raw(folder / f"{frames}.h264", frames, 25)
    assert main(["extract", str(folder), "--rgb", "motion", "--out", str(tmp_path / "f"), "--plan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["left"]["frames"] == pytest.approx(60, rel=0.02)
    assert found["streams"][0]["snippets"] in (4, 5)


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        (["--json"], 2, "--json is not for an extraction without --plan"),
        (["--plan", "--rgb", "lsa:captions.jsonl"], 2, "captions are encoded in seconds"),
        (["--plan", "--rgb", "motoin"], 2, "motoin"),
        (["--plan", "--rate", "0"], 2, "--rate 0: a number, from 0.01 to 1000"),
    ],
)
def test_what_cannot_be_planned_is_one_line(videos, tmp_path, capsys, more, status, says):
    (tmp_path / "captions.jsonl").write_text("")
    assert main(["extract", str(videos), "--out", str(tmp_path / "f"), *more]) == status
    assert says in capsys.readouterr().err and not (tmp_path / "f").exists()


def test_nothing_to_plan(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    assert main(["extract", str(tmp_path / "videos"), "--rgb", "motion", "--out", str(tmp_path / "f"), "--plan"]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    assert main(["extract", str(tmp_path / "videos"), "--rgb", "motion", "--out", str(tmp_path / "f"), "--plan"]) == 3
    told = capsys.readouterr()
    assert "0 videos, 0 s" in told.out and "there is nothing to do" in told.out and "broken.mp4" in told.err
