"""The public interface: train, score files, frames and features, a live source; and the example in `examples/`."""

import json
import runpy
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from places import ROOT

import wsvad
from wsvad import Detector, WsvadError, evaluate, extract, open_dataset, train
from wsvad.cli.main import main
from wsvad.errors import UsageError
from wsvad.features.store import feature_path, load
from wsvad.methods.mil import MilConfig
from wsvad.runs.folder import RunFolder
from wsvad.training.protocol import Protocol
from wsvad.video.reader import VideoReader

QUICK = Protocol(iterations=20, points=2, segments=4, bags=2, normalise="standardise")
SMALL = MilConfig(hidden=(8, 4))


def clip(folder: Path, name: str, abnormal: bool, seed: int, frames: int = 88) -> None:
    """A dark, noisy scene; something bright crosses it in the middle of an abnormal one."""
    rng, images = np.random.default_rng(seed), []
    for i in range(frames):
        image = rng.integers(40, 50, (48, 64, 3)).astype(np.uint8)
        if abnormal and 32 <= i < 64:
            image[10:30, (5 * i) % 50 : (5 * i) % 50 + 12] = 220
        images.append(image)
    write_clip(folder / name, images)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Eleven clips; the last normal one ends within a snippet."""
    folder = tmp_path_factory.mktemp("api") / "videos"
    folder.mkdir(parents=True)
    rows = ["video,label,category,split,frames"]
    for number in range(11):
        abnormal, split = number % 2, "test" if number > 7 else "train"
        clip(folder, f"v{number}.mp4", bool(abnormal), number)
        rows.append(f"v{number}.mp4,{abnormal},{'dash' if abnormal else 'normal'},{split},88")
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("video,category,start_frame,end_frame\nv9.mp4,dash,32,64\n")
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    detector = train(videos, out, method="mil", config=SMALL, protocol=QUICK, streams={"rgb": "motion"}, workers=0)
    assert isinstance(detector, Detector)
    return out


def test_the_interface_has_the_names_that_it_says():
    assert sorted(name for name in wsvad.__all__ if name != "__version__") == sorted(
        ["DATASETS", "ENCODERS", "METHODS", "Detector", "Event", "LiveScorer", "Timeline", "WallClock", "WsvadError",
         "evaluate", "extract", "open_dataset", "train", "write_clips", "write_exports"]
    )  # fmt: skip
    for name in wsvad.__all__:
        assert getattr(wsvad, name) is not None and name in dir(wsvad)
        assert name in wsvad.__doc__ or name == "__version__"


def test_train_and_the_command_write_the_same_run(run, videos, tmp_path):
    command = ["train", str(videos), "--method", "mil", "--rgb", "motion", "--out", str(tmp_path / "run")]
    options = ["--iterations", "20", "--points", "2", "--segments", "4", "--bags", "2", "--workers", "0"]
    assert main([*command, *options, "--config.hidden", "[8,4]", "--config.top", "1"]) == 0
    for name in ("model.safetensors", "metrics.json"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()
    assert evaluate(run).metrics == evaluate(run, videos, run / "features").metrics


def test_features_frames_and_the_file_give_the_same_scores(run, videos):
    detector = Detector.load(run)
    whole = detector.score(videos / "v9.mp4")
    stored = load(feature_path(run / "features", "rgb", "v9.mp4"))
    rate = Fraction(stored.passport.frame_rate)
    of_features = detector.score({"rgb": stored.features}, raw_rate=rate, name="v9")
    np.testing.assert_allclose(of_features.scores, whole.scores, atol=1e-6)
    assert of_features.video == "v9" and of_features.frames == 16 * 6
    with VideoReader(videos / "v9.mp4") as reader:
        of_frames = detector.score(list(reader), name="frames")
    np.testing.assert_array_equal(of_frames.scores, whole.scores)
    np.testing.assert_allclose(of_frames.times, whole.times)
    with VideoReader(videos / "v9.mp4") as reader:
        arrays = [frame.array() for frame in reader]
    of_arrays = detector.score(iter(arrays), raw_rate=reader.info.rate)
    assert len(of_arrays.scores) == len(whole.scores) and of_arrays.frames == 88
    np.testing.assert_allclose(of_arrays.times, whole.times, atol=1e-9)
    np.testing.assert_allclose(of_arrays.scores, whole.scores, atol=0.15)  # colours are rounded on the way


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 88])
def test_live_is_the_replay(run, tmp_path, frames):
    clip(tmp_path, "live.mp4", True, 50, frames)
    detector = Detector.load(run)
    detector.scorer.window = 3
    replay = detector.score(tmp_path / "live.mp4", mode="online")
    live = detector.live()
    for _ in range(2):  # after a reset, as if nothing had been
        with VideoReader(tmp_path / "live.mp4") as reader:
            snippets = [snippet for frame in reader if (snippet := live.push(frame)) is not None]
        snippets += [last] if (last := live.flush()) else []
        np.testing.assert_allclose([snippet.score for snippet in snippets], replay.scores, atol=1e-5)
        np.testing.assert_allclose([snippet.start for snippet in snippets], replay.times[:-1])
        np.testing.assert_allclose([snippet.end for snippet in snippets], replay.times[1:])
        assert [snippet.alarm for snippet in snippets] == [s.score >= live.threshold for s in snippets]
        assert live.flush() is None
        assert all(snippet.distance is None for snippet in snippets[:2])
        for newest in range(2, len(snippets)):
            last = {"rgb": np.stack([snippet.rows["rgb"] for snippet in snippets[newest - 2 : newest + 1]])}
            known = detector.trained.familiarity
            assert snippets[newest].distance == (known.distance(last) if known else None)
        live.reset()


def test_arrays_have_a_clock(run):
    live = Detector.load(run).live()
    pictures = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3)).astype(np.uint8)
    (first,) = [snippet for picture in pictures if (snippet := live.push(picture, raw_rate=10))]
    last = live.flush()
    assert (first.start, first.end, last.start, last.end) == pytest.approx((0, 1.6, 1.6, 2.0))


def test_what_cannot_be_scored_is_one_line(run):
    detector = Detector.load(run)
    for wrong, message in (
        ({"rgb": np.zeros((4, 3))}, r"the stream 'rgb' has shape \(4, 3\); give it as \(T, 304\)"),
        ({}, "the stream 'rgb' is missing"),
        ({"rgb": np.zeros((0, 304))}, r"has shape \(0, 304\)"),
        ([], "there are no frames to encode"),
        (None, "source None: give a video file, features by stream, or frames"),
        (3, "source 3: give a video file"),
        ([1, 2], r"frame 0: int; give arrays \(h, w, 3\) or frames of a reader"),
        ("a\0b", r"source 'a\\x00b': not a path"),
        ("x" * 3000, "there is no such video file"),
        ([np.zeros((4, 4))], r"frame 0: an array of shape \(4, 4\), float64; pictures are \(h, w, 3\) RGB, uint8"),
    ):
        with pytest.raises(WsvadError, match=message):
            detector.score(wrong)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda run, v: Detector.load(run, device="gpu"), "device gpu: not a device of this machine, which has cpu"),
        (lambda run, v: Detector.load(run, device="cuda:99"), "device cuda:99: not a device of this machine"),
        (lambda run, v: Detector.load(run, max_false_alarms_per_hour="1"), "max_false_alarms_per_hour 1: a number"),
        (lambda run, v: Detector.load(None), "run None: not a path; give it as text or as a pathlib.Path"),
        (lambda run, v: Detector.load("x" * 3000), "not a finished run"),
        (lambda run, v: Detector.load(run).score([], raw_rate="fast"), "raw_rate fast: a number, above 0"),
        (lambda run, v: Detector.load(run).score([], raw_rate=0), "raw_rate 0: a number, above 0"),
        (lambda run, v: Detector.load(run).live().push("x"), r"frame 0: str; push an array \(h, w, 3\) or a Frame"),
        (lambda run, v: extract(v, v, {}), "streams '.*': give each stream its encoder, as in {'rgb': 'motion'}"),
        (lambda run, v: extract(v, {}, v), "streams {}: give each stream its encoder"),
        (lambda run, v: extract(v, {"rgb": None}, v), "streams: 'rgb': None; give a name and an encoder"),
        (lambda run, v: extract(v, {"a/b": "motion"}, v), "streams: 'a/b': 'motion'; give a name and an encoder"),
        (lambda run, v: extract(v, {"rgb": "motion"}, {}), "out {}: not a path"),
        (lambda run, v: extract(None, {"rgb": "motion"}, v), "data None: not a path"),
        (lambda run, v: extract(v, {"rgb": "motion"}, v, workers=-1), "workers -1: a whole number, at least 0"),
        (lambda run, v: train(None, run), "folder None: not a path"),
        (lambda run, v: train(v, None), "out None: not a path"),
        (lambda run, v: train(v, run, streams="motion"), "streams 'motion': give each stream its encoder"),
        (lambda run, v: train(v, run, config=MilConfig()), r"config MilConfig\(.*: ur-dmu takes a UrDmuConfig"),
        (lambda run, v: train(v, run, protocol={}), "protocol {}: ur-dmu takes a Protocol"),
        (lambda run, v: open_dataset(None), "folder None: not a path"),
        (lambda run, v: evaluate(None), "what None: not a path"),
        (lambda run, v: evaluate(run, v, 3), "features 3: not a path"),
    ],
)
def test_arguments_of_another_kind_are_one_line(call, says, run, videos):
    with pytest.raises(UsageError if "finished" not in says else WsvadError, match=f"{says}") as caught:
        call(run, str(videos))
    assert "\n" not in str(caught.value)


def test_extract_takes_a_folder_or_a_dataset(videos, tmp_path):
    assert extract(videos, {"rgb": "motion"}, tmp_path / "a", workers=0) == {}
    assert extract(open_dataset(videos), {"rgb": "motion"}, tmp_path / "b", workers=0) == {}
    names = [sorted(str(p.relative_to(tmp_path / x)) for p in (tmp_path / x).rglob("*.safetensors")) for x in "ab"]
    assert names[0] == names[1] and len(names[0]) == 11


# ------------------------------------------------------------------------------------- train on changed data


def reworded(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def added(videos: Path, name: str, split: str) -> None:
    clip(videos, f"{name}.mp4", False, 77)
    (videos / "labels.csv").write_text((videos / "labels.csv").read_text() + f"\n{name}.mp4,0,normal,{split},88")


def removed(videos: Path, name: str) -> None:
    (videos / name).unlink()
    rows = (videos / "labels.csv").read_text().splitlines()
    (videos / "labels.csv").write_text("\n".join(row for row in rows if not row.startswith(name)))


CHANGES = {
    "intervals": (lambda v: reworded(v / "intervals.csv", "32,64", "32,48"), "measuring", "v9.mp4 (other intervals)"),
    "label": (lambda v: reworded(v / "labels.csv", "v2.mp4,0,normal", "v2.mp4,1,dash"), "training", "v2.mp4 (label"),
    "category": (lambda v: reworded(v / "labels.csv", "v1.mp4,1,dash", "v1.mp4,1,run"), "training", "dash → run"),
    "split": (lambda v: reworded(v / "labels.csv", "v6.mp4,0,normal,train", "v6.mp4,0,normal,test"), "training", "v6"),
    "video added": (lambda v: added(v, "n", "train"), "training", "1 training video added: n.mp4 (normal)"),
    "test video added": (lambda v: added(v, "n", "test"), "fitting", "1 test video added: n.mp4 (normal)"),
    "video removed": (lambda v: removed(v, "v4.mp4"), "training", "1 training video removed: v4.mp4"),
    "video replaced": (lambda v: clip(v, "v0.mp4", False, 99), "training", "1 training video replaced: v0.mp4"),
    "video renamed": (
        lambda v: ((v / "v0.mp4").rename(v / "w.mp4"), reworded(v / "labels.csv", "v0.mp4", "w.mp4")),
        "training", "1 training video added: w.mp4 (normal); 1 training video removed: v0.mp4",
    ),
}  # fmt: skip


def train_again(videos: Path, out: Path, **changed) -> None:
    settings = {"method": "mil", "config": SMALL, "protocol": QUICK, "streams": {"rgb": "motion"}} | changed
    train(videos, out, workers=0, **settings)


@pytest.fixture
def copied(run, videos, tmp_path) -> tuple[Path, Path]:
    home = tmp_path / videos.parent.name  # which names the data
    shutil.copytree(videos, home / "videos")
    shutil.copytree(run, home / "run")
    return home / "videos", home / "run"


@pytest.mark.parametrize("change", CHANGES)
def test_train_does_again_what_changed_and_says_so(change, copied, caplog):
    mutate, again, sentence = CHANGES[change]
    videos, run = copied
    before = {name: (run / name).read_bytes() for name in ("model.safetensors", "metrics.json", "report.html")}
    mutate(videos)
    with caplog.at_level("INFO", "wsvad"):
        train_again(videos, run)
        (said,) = [message for message in caplog.messages if "the data has changed" in message]
        assert f"so {again} again: " in said and sentence in said
        after = {name: (run / name).read_bytes() for name in before}
        if again == "training":
            assert after["model.safetensors"] != before["model.safetensors"] or change in ("category", "video renamed")
        else:
            assert after["model.safetensors"] == before["model.safetensors"]
            assert after["metrics.json"] != before["metrics.json"] and after["report.html"] != before["report.html"]
        caplog.clear()
        train_again(videos, run)
        assert not any("the data has changed" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"config": MilConfig(hidden=(8, 4), lr=0.5)}, r"another 'config' \(lr: 0.01, now 0.5\)"),
        ({"protocol": replace(QUICK, points=3)}, r"another 'protocol' \(points: 2, now 3\)"),
        ({"streams": {"rgb": "flow"}}, r"another 'encoders' \(rgb: motion, now flow\)"),
        ({"method": "rtfm", "config": None}, r"another 'method' \(mil, now rtfm\)"),
    ],
)
def test_train_refuses_another_command(changed, sentence, copied):
    with pytest.raises(WsvadError, match=sentence):
        train_again(*copied, **changed)


# ------------------------------------------------------------------------------------- features without a clock


def test_captions_end_in_a_report_with_the_times_of_the_videos(videos, tmp_path, capsys):
    lines = [
        json.dumps({"video": f"v{n}.mp4", "captions": ["a dark room", "something dashes" if n % 2 else "a room"]})
        for n in range(11)
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    command = ["train", str(videos), "--method", "mil", "--rgb", f"lsa:{tmp_path}/captions.jsonl"]
    options = ["--iterations", "4", "--points", "1", "--out", str(tmp_path / "run"), "--config.hidden", "[4,2]"]
    assert main([*command, *options]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "v9.mp4" in page and "frame rate of" not in page
    assert main(["score", str(videos / "v9.mp4"), "--model", str(tmp_path / "run"), "--out", str(tmp_path)]) == 1
    assert f"its rgb stream is made by lsa:{tmp_path}/captions.jsonl, not from video" in capsys.readouterr().err


def test_released_features_end_in_a_report_that_says_what_their_times_are(videos, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "rgb").mkdir()
    for number in range(11):
        np.save(tmp_path / "rgb" / f"v{number}.npy", rng.normal(size=(6, 8)).astype(np.float32))
    labels = tmp_path / "labels.csv"
    labels.write_text((videos / "labels.csv").read_text().replace(".mp4", ""))
    intervals = "video,category,start_frame,end_frame\nv9,dash,32,64\n"
    (tmp_path / "intervals.csv").write_text(intervals)
    dataset = open_dataset(tmp_path)
    train(dataset, tmp_path / "run", method="mil", config=SMALL, protocol=QUICK, streams={}, features=tmp_path)
    page = RunFolder(tmp_path / "run").report.read_text()
    assert "The frame rate of the videos is not known; their times assume 30 frames per second." in page


# ------------------------------------------------------------------------------------------------- older runs


def as_format_2(run: Path, out: Path) -> Path:
    """A finished run as an older version wrote it."""
    out.mkdir()
    record = json.loads((run / "model.json").read_text())
    del record["weights"], record["sha256"]
    whole = record.pop("calibration")["modes"]["whole"]
    old = {name: value for name, value in whole.items() if name not in ("mode", "fits", "spread")}
    rules = {"low": 0.7, "min_seconds": 1.0, "merge_seconds": 3.0}
    record |= {"format": 2, "threshold": {"rules": rules} | old}
    (out / "model.json").write_text(json.dumps(record))
    (out / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    (out / "metrics.json").write_bytes((run / "metrics.json").read_bytes())
    held_out = json.loads((run / "calibration.json").read_text())["whole"]
    (out / "held_out.json").write_text(json.dumps(held_out))
    return out


def test_runs_of_format_2_are_read(run, videos, tmp_path):
    new, old = Detector.load(run), Detector.load(as_format_2(run, tmp_path / "old"))
    assert old.calibrations.threshold("whole") == new.calibrations.threshold("whole")
    assert old.calibrations.sentence("whole") == new.calibrations.sentence("whole")
    assert "Not calibrated for mode online" in old.calibrations.sentence("online")
    np.testing.assert_array_equal(old.score(videos / "v9.mp4").scores, new.score(videos / "v9.mp4").scores)
    again = Detector.load(tmp_path / "old", max_false_alarms_per_hour=1e5)
    assert list(again.calibrations.each) == ["whole"] and again.calibrations.each["whole"].budget_per_hour == 1e5
    assert evaluate(tmp_path / "old").metrics == evaluate(run).metrics


# ------------------------------------------------------------------------------------------------- the example


def test_the_three_uses_run_on_the_demo(run, videos, tmp_path, capsys, monkeypatch):
    """On a run like the demo's, with a small method."""
    (tmp_path / "camera").mkdir()
    (tmp_path / "camera" / "videos").symlink_to(videos)
    for name in ("labels.csv", "intervals.csv"):
        (tmp_path / "camera" / name).write_bytes((videos / name).read_bytes())
    (tmp_path / "run").symlink_to(run)
    example = runpy.run_path(str(ROOT / "examples" / "three_uses.py"))
    monkeypatch.setitem(example["study"].__globals__, "METHODS_COMPARED", ("mil",))
    example["main"](tmp_path)
    said = capsys.readouterr().out
    assert "88 pictures: highest score" in said and "live: 6 snippets" in said
    gap = float(said.split("up to ")[1].split()[0])
    assert gap <= 1e-5
    assert "mil (one of" in said
