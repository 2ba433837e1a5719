"""A frame rate of one's own, from features to metrics: what is found stays where it is in the video's own frames."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip

from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.evaluation.scores_file import read_scores
from wsvad.features.store import load, read_passport
from wsvad.video.reader import VideoReader

OWN, RATE, FRAMES, EVENT = 30, 10, 286, (96, 192)
SMALL = [
    "--seeds",
    "1",
    "--first-seed",
    "1",
    "--hold-out",
    "0",
    "--workers",
    "0",
    "--method",
    "mil",
    "--config.iterations",
    "150",
]


def write(path: Path, moving: bool, seed: int, rate: int = OWN) -> Path:
    """A quiet scene, and between two of its frames something that moves, at the same seconds at any frame rate."""
    rng, frames = np.random.default_rng(seed), FRAMES * rate // OWN
    each = [scene(i * OWN // rate, moving and EVENT[0] <= i * OWN // rate < EVENT[1], rng) for i in range(frames)]
    return write_clip(path, each, rate=rate, crf="20")


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rates") / "videos"
    folder.mkdir()
    labels, intervals = ["video,label,split"], ["video,start_frame,end_frame"]
    for number in range(6):
        write(folder / f"{number}.mp4", bool(number % 2), number)
        labels.append(f"{number}.mp4,{number % 2},{'test' if number > 3 else 'train'}")
    intervals.append(f"5.mp4,{EVENT[0]},{EVENT[1]}")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return folder


def trained(videos: Path, *more: str) -> Path:
    out = videos.parent / f"run{''.join(more)}"
    assert main(["train", str(videos), "--rgb", "motion", "--out", str(out), *SMALL, *more]) == 0
    return out


@pytest.fixture(scope="module")
def run(videos) -> Path:
    return trained(videos, "--rate", str(RATE))


@pytest.fixture(scope="module")
def native(videos) -> Path:
    return trained(videos)


def scored(path: Path, run: Path, out: Path) -> dict:
    assert main(["score", str(path), "--model", str(run), "--out", str(out)]) == 0
    (video,) = json.loads((out / "scores.json").read_text())["videos"]
    return video


def test_features_say_at_which_rate_they_were_made(run):
    stored = load(run / "features" / "rgb" / "5.mp4.safetensors")
    assert (stored.passport.rate, stored.passport.frame_rate, stored.passport.frames) == ("10", "30", FRAMES)
    assert len(stored.features) == 6, "96 frames at 10/s"
    expected = [*(1.6 * i for i in range(6)), FRAMES / OWN]
    assert stored.times == pytest.approx(expected)
    assert stored.borders.tolist() == [round(OWN * time) for time in expected]


def test_the_frame_level_truth_is_met(run, videos, tmp_path):
    """The event is snippets 2 and 3 at 10/s, and frames 96 to 192 of the video itself."""
    metrics = json.loads((run / "metrics.json").read_text())["selection"]["last"]
    assert metrics["auc"]["mean"] == metrics["ap"]["mean"] == 1.0
    video = scored(videos / "5.mp4", run, tmp_path)
    assert (video["frames"], video["frame_rate"]) == (FRAMES, "30")
    edges = [*(48 * i for i in range(6)), FRAMES]
    assert [(s["start_frame"], s["end_frame"]) for s in video["snippets"]] == list(pairwise(edges))
    (event,) = video["events"]
    assert (event["start_frame"], event["end_frame"]) == EVENT
    assert (event["start"], event["end"]) == (3.2, 6.4)
    of_frames = main(["convert", str(tmp_path / "scores.json"), "--out", str(tmp_path / "scores.npz")])
    assert of_frames == 0
    (one,) = read_scores(tmp_path / "scores.npz").values()
    truth = np.isin(np.arange(FRAMES), np.arange(*EVENT))
    assert len(one.score) == FRAMES and one.score[truth].min() > one.score[~truth].max()
    again = main(["evaluate", str(run), "--data", str(videos), "--features", str(run / "features"), "--json"])
    assert again == 0


def test_a_run_resamples_what_it_scores_as_its_training_did(run, videos, tmp_path):
    """The same seconds, filmed at another rate: the same snippets, and nothing to warn of."""
    slow = scored(write(tmp_path / "slow.mp4", True, 5, rate=10), run, tmp_path / "slow")
    fast = scored(videos / "5.mp4", run, tmp_path / "fast")
    assert "notes" not in slow
    assert [s["start"] for s in slow["snippets"]] == [s["start"] for s in fast["snippets"]]
    assert slow["events"] and [(e["start"], e["end"]) for e in slow["events"]] == [
        (e["start"], e["end"]) for e in fast["events"]
    ]
    assert slow["events"][0]["start_frame"] == 32


@pytest.mark.parametrize("source", ["file", "pictures", "camera"])
def test_files_memory_and_cameras_are_resampled_alike(run, videos, source):
    detector = Detector.load(run)
    stored = load(run / "features" / "rgb" / "5.mp4.safetensors")
    expected = detector.score({"rgb": stored.features}, mode="online")
    assert expected.times == pytest.approx(1.6 * np.arange(7)), "snippets of features last as long as in training"
    if source == "file":
        found = detector.score(videos / "5.mp4", mode="online").scores
    elif source == "pictures":
        with VideoReader(videos / "5.mp4") as video:
            found = detector.score(list(video), mode="online").scores
        with VideoReader(videos / "5.mp4") as video:  # arrays, whose colours were rounded
            arrays = detector.score([frame.array() for frame in video], raw_rate=OWN)
        assert arrays.times == pytest.approx(stored.times) and arrays.frames == FRAMES
    else:
        live = detector.live()
        with VideoReader(videos / "5.mp4") as video:
            given = [*(live.push(frame) for frame in video), live.flush()]
        scores = [one for one in given if one]
        found = [one.score for one in scores]
        assert [one.start for one in scores] == pytest.approx(stored.times[:-1].tolist())
        assert scores[-1].end == pytest.approx(stored.times[-1])
    assert found == pytest.approx(expected.scores, abs=1e-5)


def test_a_camera_far_slower_than_the_rate_loses_no_snippet(run, videos):
    """Each picture fills several snippets then: the highest of them counts, over all of them."""
    detector = Detector.load(run)
    with VideoReader(videos / "5.mp4") as video:
        pictures = [frame.array() for frame in video][::40]
    whole, live = detector.score(pictures, mode="online", raw_rate=0.25), detector.live()
    found = [one for picture in pictures if (one := live.push(picture, raw_rate=0.25))]
    last = live.flush()
    assert max(one.score for one in [*found, last]) == pytest.approx(whole.scores.max(), abs=1e-5)
    assert found[0].start == 0 and last.end == pytest.approx(4 * len(pictures))
    assert all(a.end == b.start for a, b in zip(found, [*found[1:], last], strict=True))


def test_another_rate_than_in_training_is_told(native, videos, tmp_path, capsys):
    slow = write(tmp_path / "slow.mp4", True, 5, rate=10)
    video = scored(slow, native, tmp_path / "out")
    said = "slow.mp4: 10 frames/s, but the detector learned from videos with 30"
    assert video["notes"] == [next(note for note in video["notes"] if note.startswith(said) and "--rate 10" in note)]
    assert capsys.readouterr().err.count(said) == 1
    assert said in (tmp_path / "out" / "report.html").read_text()
    scored(slow, native, tmp_path / "out")
    assert capsys.readouterr().err.count(said) == 1, "also where it was scored before"
    assert "notes" not in scored(videos / "4.mp4", native, tmp_path / "same")
    near = write(tmp_path / "near.mp4", True, 5, rate=20)
    assert "notes" not in scored(near, native, tmp_path / "near"), "30 is 1.5 times 20"
    assert Detector.load(native).score(slow).notes == (video["notes"][0],)


def test_rates_are_not_mixed(videos, native, tmp_path, capsys):
    out = tmp_path / "features"
    command = ["extract", str(videos), "--out", str(out), "--workers", "0"]
    assert main([*command, "--rgb", "motion"]) == 0
    assert main([*command, "--rgb", "motion", "--rate", "10"]) == 1
    said = capsys.readouterr().err
    assert "frames per second: the video's own against 10); leave --rate out, choose another folder" in said
    shutil.move(out / "rgb", tmp_path / "rgb")
    assert main([*command, "--rgb", "motion", "--rate", "10"]) == 0
    assert main([*command, "--rgb", "motion"]) == 1
    assert "frames per second: 10 against the video's own); give --rate 10" in capsys.readouterr().err
    assert read_passport(out / "rgb" / "0.mp4.safetensors").rate == "10"
    shutil.move(tmp_path / "rgb", out / "flow")
    fit = ["fit", str(videos), "--features", str(out), "--method", "mil", "--config.streams", "rgb,flow"]
    assert main([*fit, "--out", str(tmp_path / "fit"), "--iterations", "2"]) == 1
    assert "are of different frame rates (rgb 10, flow its own); extract them together" in capsys.readouterr().err
    measured = ["evaluate", str(native), "--data", str(videos), "--features", str(out)]
    assert main(measured) == 1
    assert "made differently from those of" in (said := capsys.readouterr().err)
    assert "frames per second: the video's own against 10" in said


@pytest.mark.parametrize("rate", ["0", "-5", "inf", "fast", "1e9"])
def test_a_rate_that_cannot_be_is_refused_before_any_work(videos, tmp_path, capsys, rate):
    assert main(["extract", str(videos), "--rgb", "motion", "--rate", rate, "--out", str(tmp_path / "out")]) == 2
    assert f"--rate {rate}: a number, from 0.01 to 1000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_verbs_keep_the_rate_of_what_they_go_on_from(run, videos, tmp_path):
    """A bench takes features as they are, a student its teacher's videos as the teacher saw them."""
    out, few = tmp_path / "bench", ["--seeds", "1", "--iterations", "2", "--hold-out", "0"]
    shutil.copytree(run / "features", tmp_path / "features")
    (tmp_path / "features" / "rgb" / "5.mp4.safetensors").unlink()
    features = ["--features", str(tmp_path / "features"), "--rgb", "motion"]
    assert main(["bench", "--data", str(videos), "--methods", "mil", *features, "--out", str(out), *few]) == 0
    again = load(tmp_path / "features" / "rgb" / "5.mp4.safetensors")
    assert again.passport == read_passport(run / "features" / "rgb" / "5.mp4.safetensors")
    student = ["distill", str(run), "--to", "second", "--stream", "second=motion", "--out", str(tmp_path / "student")]
    assert main([*student, *few, "--workers", "0"]) == 0
    assert Detector.load(tmp_path / "student").trained.rate == RATE
