"""How fast encoders are, by each runtime: what is measured adds up, and what is advised follows from it."""

import json

import pytest
from clips import write_clip
from onnx import numpy_helper
from small_networks import WEIGHTS, onnx_network

from wsvad.cli.main import main
from wsvad.encoders import runtime as runtimes
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction import timing as module
from wsvad.extraction.timing import Timed, _advice, time_encoder


@pytest.fixture
def video(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    return write_clip(tmp_path / "clip.mp4", 40)


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_network(numpy_helper.from_array(WEIGHTS[..., None, None], "w")))
    return path


def test_parts_are_less_than_the_whole(video, network):
    found = time_encoder(f"onnx:{network}", video)
    assert [row.runtime for row in found.rows][:2] == ["onnxruntime", "openvino"] and found.video == str(video)
    for row in found.rows:
        assert not row.reason
        assert 1 / row.decode + 1 / row.convert + 1 / row.network <= 1 / row.whole
    network.with_name("net.onnx.yaml").write_text("runtime: openvino\n")
    assert time_encoder(f"onnx:{network}", video).rows[0].runtime == "openvino", "the one that is taken now"


def test_a_generated_video_will_do(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "GENERATED", (16, (360, 100, 3), 25))
    found = time_encoder("motion")
    (row,) = found.rows
    assert (row.runtime, row.device, found.advice, found.video) == ("its own", "cpu", "", "a generated video, 100x360")
    assert row.whole > 0


def test_a_runtime_that_is_not_there_has_its_reason(video, network, monkeypatch):
    monkeypatch.setattr(runtimes.OpenVinoFile, "runtime", "no_such_module")
    found = time_encoder(f"onnx:{network}", video)
    assert found.rows[0].whole and found.rows[1].whole is None
    assert "pip install 'wsvad[openvino]'" in found.rows[1].reason and found.advice == ""


def row(runtime, whole, device="cpu"):
    return Timed(runtime=runtime, device=device, whole=whole)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([row("onnxruntime", 10)], ""),
        ([row("onnxruntime", 10), row("openvino", None)], ""),
        ([row("onnxruntime", 10), row("openvino", 10.9)], "onnxruntime on cpu is as fast as any here"),
        (
            [row("onnxruntime", 10), row("openvino", 18)],
            "take openvino: 1.8 times as fast; write 'runtime: openvino' into net.onnx.yaml",
        ),
        (
            [row("onnxruntime", 10), row("openvino", 18), row("onnxruntime", 50, "cuda (NVIDIA H100)")],
            "take --device cuda: 5.0 times as fast",
        ),
    ],
)
def test_what_is_advised(rows, says):
    assert _advice(rows, ["net.onnx"]) == says


def test_the_command_line(video, network, capsys):
    assert main(["encoders", "--time", f"onnx:{network}", "--video", str(video), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["encoder"] == f"onnx:{network}" and found["rows"][0].keys() == Timed.__dataclass_fields__.keys()
    assert main(["encoders", "--time", f"onnx:{network}", "--video", str(video)]) == 0
    told = capsys.readouterr().out
    assert "onnxruntime" in told and "openvino" in told and f"one process, on {video}" in told


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--time", "motoin"], 2, "motoin"),
        (["--time", "lsa:captions.jsonl"], 2, "reads captions; only encoders of video are timed"),
        (["--time", "motion", "--video", "none.mp4"], 1, "none.mp4: there is no such video file"),
        (["--time", "onnx:none.onnx"], 1, "none.onnx: there is no such file"),
        (["--video", "a.mp4"], 2, "--video is not for a list of encoders"),
        (["--time", "motion", "--yes"], 2, "--yes is not for --time"),
    ],
)
def test_what_cannot_be_measured_is_one_line(words, status, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["encoders", *words]) == status
    told = capsys.readouterr().err
    assert says in told and len(told.strip().splitlines()) == 1


def test_errors_of_the_api():
    with pytest.raises(UsageError, match="only encoders of video"):
        time_encoder("lsa:captions.jsonl")
    with pytest.raises(WsvadError, match="no such video"):
        time_encoder("motion", module.Path("none.mp4"))
