"""Videos decoded in another way, from features to scores: passports say it, nothing is mixed, and a run goes on with
it."""

import json
import shutil
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from clips import build, scene, write_clip

from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.errors import UsageError
from wsvad.extraction.encode import encode_video
from wsvad.extraction.extract import extract
from wsvad.extraction.workers import Local
from wsvad.features.store import load, read_passport
from wsvad.video import decoding, reader
from wsvad.video.address import Source
from wsvad.video.live import LiveSource
from wsvad.video.reader import Frame, VideoReader
from wsvad.watch import calibrate, camera, check
from wsvad.watch.model import models_of
from wsvad.watch.settings import site_of

SMALL = ["--seeds", "1", "--first-seed", "1", "--hold-out", "0", "--workers", "0"]
SMALL += ["--method", "mil", "--iterations", "1"]
FRAMES = 96


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """At few bits, so that the loop filter has something to do."""
    folder = tmp_path_factory.mktemp("decode") / "videos"
    folder.mkdir()
    labels = ["video,label,split"]
    for number in range(6):
        rng = np.random.default_rng(number)
        frames = [scene(i, bool(number % 2), rng) for i in range(FRAMES)]
        write_clip(folder / f"{number}.mp4", frames, preset="medium", crf="36", g="32")
        labels.append(f"{number}.mp4,{number % 2},{'test' if number > 3 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(labels))
    return folder


def trained(videos: Path, *more: str) -> Path:
    out = videos.parent / f"run{''.join(more)}"
    assert main(["train", str(videos), "--rgb", "motion", "--out", str(out), *SMALL, *more]) == 0
    return out


@pytest.fixture(scope="module")
def run(videos) -> Path:
    return trained(videos, "--decode", "fast")


@pytest.fixture(scope="module")
def exact(videos) -> Path:
    return trained(videos)


def made(run: Path, video: str = "5.mp4"):
    return load(run / "features" / "rgb" / f"{video}.safetensors")


def test_a_passport_says_how_a_video_was_decoded_unless_exactly(run, exact):
    fast, usual = made(run), made(exact)
    assert (fast.passport.decode, usual.passport.decode) == ("fast", "exact")
    assert fast.passport.record() == usual.passport.record() | {"decode": "fast"}
    assert "decode" not in usual.passport.record(), "as before there were ways to decode"
    np.testing.assert_array_equal(fast.times, usual.times)
    np.testing.assert_array_equal(fast.filmed, usual.filmed)
    assert 0 < np.abs(fast.features - usual.features).mean() < usual.features.std()


def test_a_run_scores_as_its_training_videos_were_decoded(run, exact, videos, tmp_path):
    for model, other in ((run, exact), (exact, run)):
        detector = Detector.load(model)
        expected = detector.score({"rgb": made(model, "4.mp4").features})
        assert main(["score", str(videos / "4.mp4"), "--model", str(model), "--out", str(tmp_path / model.name)]) == 0
        (video,) = json.loads((tmp_path / model.name / "scores.json").read_text())["videos"]
        found = [snippet["score"] for snippet in video["snippets"]]
        np.testing.assert_allclose(found, expected.scores, atol=1e-6)
        np.testing.assert_allclose(detector.score(videos / "4.mp4").scores, expected.scores, rtol=1e-3)
        with VideoReader(videos / "4.mp4", decode=detector.trained.decode) as frames:
            np.testing.assert_allclose(detector.score(frames).scores, expected.scores, rtol=1e-3)
        otherwise = detector.score({"rgb": made(other, "4.mp4").features}).scores
        assert not np.allclose(otherwise, expected.scores, rtol=1e-3, atol=0), "what was compared tells the two apart"
        np.testing.assert_array_equal(detector.encoded(videos / "4.mp4")["rgb"], made(model, "4.mp4").features)


def test_a_camera_is_scored_as_the_training_videos_were_decoded(run, videos):
    detector = Detector.load(run)
    expected = detector.score({"rgb": made(run, "4.mp4").features}, mode="online").scores
    live, found = detector.live(), []
    address = Source(address=str(videos / "4.mp4"), real_time=False)
    with LiveSource(address, decode=detector.trained.decode) as source:
        while not source.ended:
            if isinstance(item := source.take(0.5), Frame):
                found.append(live.push(item))
    np.testing.assert_allclose([one.score for one in found if one], expected, atol=1e-5)
    assert all(made["decode"] == "fast" for made in detector.passports().values())


class Opened(Exception):
    """Where frames come from was opened."""


def test_all_that_watches_opens_its_sources_in_that_way(run, videos, monkeypatch):
    site, seen = site_of([str(run), str(videos / "4.mp4")]), []
    ((name, model),) = models_of(site).items()

    def opened(*_, decode="exact", **__):
        seen.append(decode)
        raise Opened

    for module in (calibrate, check, camera):
        monkeypatch.setattr(module, "LiveSource", opened)
    monkeypatch.setattr(calibrate, "VideoReader", opened)
    still = threading.Event()
    for start in (
        lambda: calibrate.of_videos(model, site.cameras[name], [videos / "4.mp4"], still),
        lambda: calibrate.of_camera(site, name, model, 1, still),
        lambda: check.check_site(site, 1),
        lambda: camera.WatchedCamera(name, site, model, store=None, outbox=None, clips=None, on_alert=print),
    ):
        with pytest.raises(Opened):
            start()
    assert seen == ["fast"] * 4


def test_ways_are_not_mixed(videos, run, exact, tmp_path, capsys):
    out = tmp_path / "features"
    command = ["extract", str(videos), "--out", str(out), "--workers", "0", "--rgb", "motion"]
    assert main(command) == 0
    assert main([*command, "--decode", "fast"]) == 1
    said = capsys.readouterr().err
    assert "decode: exact against fast); leave --decode out, choose another folder for features" in said
    shutil.move(out / "rgb", tmp_path / "rgb")
    assert main([*command, "--decode", "fast"]) == 0
    (out / "rgb" / "3.mp4.safetensors").unlink()
    assert main(command) == 1
    assert "decode: fast against exact); give --decode fast" in capsys.readouterr().err
    assert main([*command, "--decode", "fast"]) == 0
    assert read_passport(out / "rgb" / "3.mp4.safetensors").decode == "fast"
    shutil.move(tmp_path / "rgb", out / "flow")
    fit = ["fit", str(videos), "--features", str(out), "--method", "mil", "--config.streams", "rgb,flow"]
    assert main([*fit, "--out", str(tmp_path / "fit"), "--iterations", "2"]) == 1
    assert "were decoded in different ways (rgb fast, flow exact); extract them together" in capsys.readouterr().err
    for model, features, said in ((exact, out, "exact against fast"), (run, exact / "features", "fast against exact")):
        assert main(["evaluate", str(model), "--data", str(videos), "--features", str(features)]) == 1
        assert f"made differently from those of {model} (decode: {said})" in capsys.readouterr().err


def test_other_verbs_go_on_as_the_features_were_decoded(run, videos, tmp_path):
    out, few = tmp_path / "bench", ["--seeds", "1", "--iterations", "2", "--hold-out", "0"]
    shutil.copytree(run / "features", tmp_path / "features")
    (tmp_path / "features" / "rgb" / "5.mp4.safetensors").unlink()
    features = ["--features", str(tmp_path / "features"), "--rgb", "motion"]
    assert main(["bench", "--data", str(videos), "--methods", "mil", *features, "--out", str(out), *few]) == 0
    assert read_passport(tmp_path / "features" / "rgb" / "5.mp4.safetensors") == made(run).passport
    student = ["distill", str(run), "--to", "second", "--stream", "second=motion", "--out", str(tmp_path / "student")]
    assert main([*student, *few, "--workers", "0"]) == 0
    assert Detector.load(tmp_path / "student").trained.decode == "fast"


def test_a_way_that_does_not_exist_is_refused_before_any_work(videos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["extract", str(videos), "--rgb", "motion", "--decode", "quick", "--out", str(out)]) == 2
    assert "--decode quick: exact, fast or hardware" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--decode quick: one of exact, fast, hardware"):
        extract([("5.mp4", videos / "5.mp4")], {"rgb": "motion"}, out, workers=0, decode="quick")
    assert not out.exists()


def test_no_hardware_is_said_before_any_work(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(decoding, "DEVICES", ())
    decoding.device.cache_clear()
    out = tmp_path / "out"
    assert main(["extract", str(videos), "--rgb", "motion", "--decode", "hardware", "--out", str(out)]) == 2
    assert "--decode hardware: this machine has no hardware that decodes" in capsys.readouterr().err
    assert not list(out.rglob("*.safetensors"))


def test_hardware_gives_the_features_of_software(videos, tmp_path, monkeypatch, caplog):
    """A stand-in gives pictures as hardware does. A run does not tell the two apart, a folder does."""
    monkeypatch.setattr(decoding, "device", lambda: "drm")
    videos_ = [("4.mp4", videos / "4.mp4")]
    caplog.set_level("INFO")
    report = extract(videos_, {"rgb": "means"}, tmp_path / "in software", builder="clips:build", engine=Local(0),
                     decode="hardware")  # fmt: skip
    assert report.done == 1 and "decoded in software, because this hardware does not decode such h264" in caplog.text
    send = VideoReader._send

    def side_by_side(reader, packet):
        shown, failed = send(reader, packet)
        return [_given(picture) for picture in shown], failed

    monkeypatch.setattr(VideoReader, "_send", side_by_side)
    monkeypatch.setattr(reader, "in_hardware", lambda stream: True)
    hardware = encode_video(videos / "4.mp4", {"rgb": build("means")}, threads=1, decode="hardware")["rgb"]
    monkeypatch.undo()
    usual = encode_video(videos / "4.mp4", {"rgb": build("means")}, threads=1)["rgb"]
    np.testing.assert_array_equal(hardware.features, usual.features)
    np.testing.assert_array_equal(hardware.times, usual.times)
    assert hardware.passport.difference(usual.passport) == "decode: hardware against exact"


def _given(picture: av.VideoFrame) -> av.VideoFrame:
    made = picture.reformat(format="nv12")
    made.colorspace, made.color_range = picture.colorspace, picture.color_range
    return made


def test_a_run_takes_features_of_hardware_for_exact_ones(exact, run):
    trained, passport = Detector.load(exact).trained, made(exact).passport
    of_hardware = type(passport)(**{**vars(passport), "decode": "hardware"})
    assert trained.difference("rgb", of_hardware) is None
    assert Detector.load(run).trained.difference("rgb", of_hardware) == "decode: fast against hardware"
    trained.passports["rgb"]["decode"] = "hardware"
    assert trained.decode == "exact", "a machine without such hardware scores"
    assert trained.difference("rgb", passport) is None
