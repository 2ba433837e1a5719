"""Raw streams through the command line: what is found in them is what is found in the same pictures in an MP4."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import scene, write_clip
from raw_streams import without_timing

from wsvad.cli.main import main
from wsvad.detection.detector import Detector
from wsvad.features.store import feature_path, read_passport

RATE = 20
SMALL = ["--seeds", "1", "--hold-out", "0", "--workers", "0", "--method", "mil", "--config.iterations", "50"]


def write_pair(folder: Path, name: str, moving: bool, seed: int) -> tuple[Path, Path]:
    """A raw stream that does not say its rate, and its very pictures in an MP4."""
    rng = np.random.default_rng(seed)
    frames = [scene(index, moving and 32 <= index < 64, rng) for index in range(96)]
    path = write_clip(folder / f"{name}.h264", frames, rate=RATE, bf="0", g="12", crf="20")
    container = folder.parent / f"{name}.mp4"
    with av.open(str(path)) as raw, av.open(str(container), "w") as output:
        source = raw.streams.video[0]
        stream = output.add_stream_from_template(source)
        stream.time_base = Fraction(1, RATE)
        for index, packet in enumerate(packet for packet in raw.demux(source) if packet.size):
            packet.time_base, packet.pts, packet.dts, packet.duration = Fraction(1, RATE), index, index, 1
            packet.stream = stream
            output.mux(packet)
    path.write_bytes(without_timing(path.read_bytes()))
    return path, container


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recorder") / "videos"
    folder.mkdir()
    labels = ["video,label,split"]
    for number in range(6):
        path, _ = write_pair(folder, f"cam-{number}", bool(number % 2), number)
        labels.append(f"{path.name},{number % 2},{'test' if number > 3 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("video,start_frame,end_frame\ncam-5.h264,32,64\n")
    return folder


@pytest.fixture(scope="module")
def run(recordings) -> Path:
    out = recordings.parent / "run"
    assert main(["train", str(recordings), "--rgb", "motion", "--raw-rate", "20", "--out", str(out), *SMALL]) == 0
    return out


def found(path: Path, run: Path, out: Path, *more: str) -> dict:
    assert main(["score", str(path), "--model", str(run), "--out", str(out), *more]) == 0
    [video] = json.loads((out / "scores.json").read_text())["videos"]
    return video


def test_scores_and_times_are_those_of_the_same_pictures_in_a_container(recordings, run, tmp_path, capsys):
    raw = found(recordings / "cam-5.h264", run, tmp_path / "raw", "--raw-rate", "20")
    contained = found(recordings.parent / "cam-5.mp4", run, tmp_path / "mp4")
    assert raw["frame_rate"] == contained["frame_rate"] == "20"
    assert raw["events"] and raw["events"] == contained["events"]
    assert raw["snippets"] == contained["snippets"]
    by_api = Detector.load(run).score(recordings / "cam-5.h264", raw_rate=20).events
    assert [[event.start, event.end] for event in by_api] == [[event["start"], event["end"]] for event in raw["events"]]


def test_another_rate_is_another_reading(recordings, run, tmp_path, capsys):
    path = recordings / "cam-5.h264"
    assert main(["score", str(path), "--model", str(run), "--out", str(tmp_path)]) == 1
    assert "cam-5.h264: a raw stream that does not say its frames per second; say it with --raw-rate" in (
        capsys.readouterr().err
    )
    at = {rate: found(path, run, tmp_path, "--raw-rate", rate)["events"][0]["start"] for rate in ("20", "10", "20")}
    assert at["10"] == 2 * at["20"]
    assert "scored before" not in capsys.readouterr().err
    found(path, run, tmp_path, "--raw-rate", "20")
    assert "1 of 1 videos were scored before" in capsys.readouterr().err


def test_features_that_were_made_at_another_rate_are_made_again(recordings, tmp_path, capsys):
    out, path = tmp_path / "features", feature_path(tmp_path / "features", "rgb", "cam-0.h264")
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(recordings / "cam-0.h264", folder)
    shutil.copy(recordings.parent / "cam-0.mp4", folder / "same.mp4")
    command = ["extract", str(folder), "--rgb", "motion", "--out", str(out), "--workers", "0"]
    assert main(command) == 3, "only the raw stream is left out"
    assert "cam-0.h264: a raw stream" in capsys.readouterr().err and not path.exists()
    rates = []
    for more in (["--raw-rate", "20"], [], ["--raw-rate", "12.5"], []):
        assert main([*command, *more]) == 0
        rates.append(read_passport(path).frame_rate)
    assert rates == ["20", "20", "25/2", "25/2"]
    assert capsys.readouterr().err.count("extracting it again") == 1
    assert read_passport(feature_path(out, "rgb", "same.mp4")).frame_rate == "20"


def test_a_run_at_another_rate_is_the_one_that_would_have_been_trained_at_it(recordings, run, tmp_path, capsys):
    """Features, thresholds and the report follow the rate; what it does not change is not learned again."""
    out, fresh = tmp_path / "run", tmp_path / "fresh"
    shutil.copytree(run, out)
    command = ["train", str(recordings), "--rgb", "motion", "--raw-rate", "10", *SMALL]
    assert main([*command, "--out", str(out)]) == 0
    assert main([*command, "--out", str(fresh)]) == 0
    for name in ("model.json", "model.safetensors", "metrics.json", "report.html"):
        assert (out / name).read_bytes() == (fresh / name).read_bytes(), name
    assert (out / "report.html").read_bytes() != (run / "report.html").read_bytes()
