"""What every encoder promises, and how they are found by name."""

import json
import socket
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from places import SHARED
from published_weights import write_weights
from small_networks import write_constant

from wsvad.encoders import ENCODERS, auto, build, list_encoders, models_folder
from wsvad.encoders.build import resolve, shortened, split
from wsvad.encoders.encoder import Encoder, OnDevice
from wsvad.errors import UsageError, WsvadError
from wsvad.video.clock import SNIPPET

BUILD = import_module("wsvad.encoders.build")  # the package has a function of that name
MOBILENET = SHARED / "models" / "mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"
MOVENET = SHARED / "models" / "movenet_single_pose_lightning_ptq.tflite"
MULTIPOSE = SHARED / "models" / "movenet-multipose.onnx"
CENTERNET = SHARED / "models" / "centernet.onnx"
DEEPLAB = SHARED / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
real = (
    pytest.mark.real,
    pytest.mark.skipif(not MOBILENET.exists(), reason="the real networks are not beside the project"),
)


def write_network(path: Path) -> Path:
    """An image network that gives each frame's mean colour, with a free batch size."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["y"])],
        "mean",
        [info("x", TensorProto.FLOAT, ["n", 3, 32, 48])],
        [info("y", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_keypoints(path: Path) -> Path:
    """A pose network: 17 keypoints that follow the mean colour of the picture."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["f"], ["m"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Mul", ["m", "w"], ["y"]),
        ],
        "pose",
        [info("x", TensorProto.UINT8, ["n", 48, 48, 3])],
        [info("y", TensorProto.FLOAT, ["n", 1, 17, 3])],
        [numpy_helper.from_array(np.linspace(0, 1 / 160, 51, dtype=np.float32).reshape(1, 1, 17, 3), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_flow(path: Path) -> Path:
    """A flow network: the difference of two colours of two pictures."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Sub", ["b", "a"], ["d"]), helper.make_node("Slice", ["d", "from", "to", "axis"], ["flow"])],
        "flow",
        [info(name, TensorProto.FLOAT, ["n", 3, 32, 48]) for name in ("a", "b")],
        [info("flow", TensorProto.FLOAT, ["n", 2, 32, 48])],
        [numpy_helper.from_array(np.array([at]), name) for name, at in (("from", 0), ("to", 2), ("axis", 1))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_segmentation(path: Path) -> Path:
    """A segmentation network of three classes, the brightest channel."""
    info = helper.make_tensor_value_info
    shape = ["n", 3, 32, 48]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "mask",
        [info("x", TensorProto.FLOAT, shape)],
        [info("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_people(path: Path) -> Path:
    """A network of six people who go to the right where the picture is bright, some of them hard to see."""
    people = np.random.default_rng(0).uniform(0.2, 0.5, size=(1, 6, 56))
    people[..., 53:55] += 0.3
    shift = np.zeros_like(people)
    shift[..., 1:51:3], shift[..., [52, 54]] = 1e-3, 1e-3
    return write_constant(path, {"y": people}, shape=(1, "h", "w", 3), of=TensorProto.INT32, shifts={"y": shift})


def write_objects(path: Path) -> Path:
    """A detector in YOLO's form, whose objects go to the right where the picture is bright."""
    objects = np.random.default_rng(0).uniform(0, 0.5, size=(1, 84, 50))
    objects[:, :4] = np.random.default_rng(1).uniform(10, 40, size=(1, 4, 50))
    shift = np.zeros_like(objects)
    shift[:, 0] = 10
    return write_constant(path, {"y": objects}, shape=(1, 3, 64, 64), of=TensorProto.FLOAT, shifts={"y": shift})


def write_clips(name: str):
    """Weights of a network that reads clips, which it does at a few pixels here."""

    def write(path: Path) -> Path:
        path = write_weights(path.with_suffix(".safetensors"), name)
        crops = 5 if name == "i3d" else 1
        path.with_name(path.name + ".yaml").write_text(f"resize: [40, 36]\ncrop: 32\ncrops: {crops}")
        return path

    return write


def write_raft(path: Path) -> Path:
    path = write_weights(path.with_suffix(".safetensors"), "raft")
    path.with_name(path.name + ".yaml").write_text("size: [128, 128]\niterations: 1\nframes: 1")
    return path


NETWORKS = {
    "onnx": write_network,
    "pose": write_keypoints,
    "pose of several": write_people,
    "raft": write_flow,
    "mask": write_segmentation,
    "objects": write_objects,
}
NETWORKS |= {name: write_clips(name) for name in ("i3d", "i3d-resnet", "s3d")} | {"raft weights": write_raft}


@pytest.fixture(
    params=[
        *("motion", "flow", *NETWORKS),
        pytest.param(f"tflite:{MOBILENET}", marks=real),
        pytest.param(f"pose:{MOVENET}", marks=real),
        pytest.param(f"mask:{DEEPLAB}", marks=real),
        pytest.param(f"pose:{MULTIPOSE}", marks=real),
        pytest.param(f"objects:{CENTERNET}", marks=real),
    ]
)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    spec = request.param
    if spec in NETWORKS:
        spec = f"{spec.split()[0]}:{NETWORKS[spec](tmp_path / 'net.onnx')}"
    (built,) = build(spec)
    assert built.name == spec
    return built


def snippets(encoder: Encoder, count: int) -> list[np.ndarray]:
    width, height = encoder.sampling.size or (64, 48)
    shape = (encoder.sampling.count, height, width) + ((3,) if encoder.sampling.colour == "rgb" else ())
    random = np.random.default_rng(0)
    some = [random.integers(0, 256, size=shape, dtype=np.uint8) for _ in range(count)]
    fit = encoder.sampling.fit
    return some if fit is None else [np.stack([fit(picture) for picture in snippet]) for snippet in some]


def test_every_snippet_gives_one_finite_vector(encoder: Encoder):
    features = encoder.encode(snippets(encoder, 3))
    crops = (encoder.crops,) if getattr(encoder, "crops", 1) > 1 else ()
    assert features.shape == (3, *crops, encoder.width) and features.dtype == np.float32
    assert np.isfinite(features).all()
    assert encoder.encode([]).shape == (0, *crops, encoder.width)
    assert 1 <= encoder.sampling.count <= SNIPPET


def test_one_by_one_is_all_at_once(encoder: Encoder):
    """A live stream and a file give the same features bit by bit, and so does the same call twice."""
    given = snippets(encoder, 3)
    np.testing.assert_array_equal(encoder.encode(given), encoder.encode(given))
    single = np.concatenate([encoder.encode([snippet]) for snippet in reversed(given)])[::-1]
    np.testing.assert_array_equal(encoder.encode(given), single)


def test_a_passport_is_of_the_file_that_was_opened(encoder: Encoder, tmp_path: Path):
    """Which is read once, however many videos there are."""
    before, path = encoder.passport(), Path(encoder.name.partition(":")[2])
    if path.is_relative_to(tmp_path):
        path.write_bytes(b"another network")
    assert encoder.passport() == before


def test_what_can_be_moved_to_a_device_says_to_which(encoder: Encoder):
    assert hasattr(encoder, "to") == isinstance(encoder, OnDevice)
    assert not isinstance(encoder, OnDevice) or isinstance(encoder.runs_on(torch.device("cuda")), bool)


def test_the_passport_answers_for_it(encoder: Encoder):
    passport = encoder.passport()
    assert set(passport) == {"encoder", "width", "weights", "settings"}
    assert passport["width"] == encoder.width
    assert "/" not in str(passport["encoder"])
    assert json.loads(json.dumps(passport)) == passport


def test_every_encoder_is_listed_with_what_it_needs():
    listed = {line.name: line for line in list_encoders()}
    files = {
        f"{name}:FILE" for name in ("onnx", "tflite", "pose", "mask", "objects", "raft", "i3d", "i3d-resnet", "s3d")
    }
    assert set(listed) >= {"motion", "flow", "lsa:captions.jsonl"} | files
    assert listed["motion"].available and listed["motion"].width == build("motion")[0].width
    assert all(line.available or line.install for line in listed.values())


def test_a_missing_library_shows_in_the_list(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(BUILD, "find_spec", lambda module: None)
    listed = {line.name: line for line in list_encoders()}
    assert listed["onnx:FILE"].install == "pip install 'wsvad[onnx]'" and not listed["onnx:FILE"].available
    assert listed["lsa:captions.jsonl"].install == "pip install 'wsvad[text]'"
    assert listed["pose:FILE"].install == "pip install 'wsvad[litert]'"
    assert listed["i3d:FILE"].install == "pip install 'wsvad[transformers]'"  # of which it needs Pillow
    assert listed["motion"].available and listed["flow"].available and listed["raft:FILE"].available


@pytest.mark.parametrize("module", ["onnxruntime", "ai_edge_litert"])
def test_one_of_two_libraries_is_enough(monkeypatch: pytest.MonkeyPatch, module: str):
    monkeypatch.setattr(BUILD, "find_spec", lambda name: object() if name == module else None)
    listed = {line.name: line for line in list_encoders()}
    assert all(listed[f"{name}:FILE"].available for name in ("pose", "mask", "objects", "raft"))


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("motion", ["motion"]),
        ("motion+tflite:a.tflite", ["motion", "tflite:a.tflite"]),
        ("tflite:a+b.tflite+motion", ["tflite:a+b.tflite", "motion"]),
        ("onnx:x+motion.onnx", ["onnx:x+motion.onnx"]),
        ("onnx:x+tflite.onnx+tflite:y", ["onnx:x+tflite.onnx", "tflite:y"]),
        ("pose:a.tflite+flow+mask:b+c.onnx", ["pose:a.tflite", "flow", "mask:b+c.onnx"]),
        ("onnx:C:\\nets\\a.onnx+motion", ["onnx:C:\\nets\\a.onnx", "motion"]),
    ],
)
def test_a_plus_in_a_file_name_does_not_separate(spec: str, parts: list[str]):
    assert split(spec) == parts


def test_a_concatenation_keeps_its_order(tmp_path: Path):
    path = write_network(tmp_path / "with+plus.onnx")
    assert [one.name for one in build(f"onnx:{path}+motion")] == [f"onnx:{path}", "motion"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "no encoder is called ''"),
        ("motoin", r"choose one of: .*flow, .*lsa, .*motion, .*tflite"),
        ("motion:fast", "write motion"),
        ("tflite", "write tflite:FILE"),
        ("pose", "write pose:FILE"),
        ("flow:dis", "write flow"),
        ("i3d-resnet", "write i3d-resnet:FILE"),
        ("onnx:", "write onnx:FILE"),
        ("lsa:captions.jsonl", "from captions, not from video"),
        ("sentence:a:captions.jsonl", "from captions, not from video"),
        ("+".join(["motion"] * 500), "motion is listed 500 times; once is enough"),
        ("motion+nothing", "no encoder is called 'motion\\+nothing'"),
    ],
)
def test_wrong_specifications(spec: str, told: str):
    with pytest.raises(UsageError, match=told):
        build(spec)


def test_auto_is_motion_where_there_is_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path / "none"))
    spec, sentence = auto()
    assert spec == "motion" and "\n" not in sentence
    advice = f"For better features put a .tflite or .onnx image model into {tmp_path / 'none'}, "
    assert sentence.startswith(f"auto → motion (no weights needed). {advice}")
    assert [one.name for one in build("auto")] == ["motion"]


def test_auto_takes_a_network_that_is_there_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path))
    path = write_network(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.yaml").write_text("frames: 2")
    spec, sentence = auto()
    assert f"onnx:{path}" in spec and "net.onnx" in sentence
    assert any(one.name == f"onnx:{path}" for one in build("auto"))
    monkeypatch.setattr(BUILD, "find_spec", lambda module: None)
    assert auto()[0] == "motion"  # a network without its library is of no use


def test_auto_takes_the_largest_network_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path))
    for name, size in (("a.onnx", 10), ("b.onnx", 30), ("c.tflite", 20), ("d.pt", 40)):
        (tmp_path / name).write_bytes(bytes(size))
    monkeypatch.setattr(BUILD, "find_spec", lambda module: object())
    monkeypatch.setattr(socket, "socket", None)
    assert auto()[0] == f"motion+onnx:{tmp_path / 'b.onnx'}"


def test_where_networks_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path))
    assert models_folder() == tmp_path
    monkeypatch.delenv("WSVAD_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert models_folder() == tmp_path / "data" / "wsvad" / "models"


def test_another_package_can_bring_an_encoder(monkeypatch: pytest.MonkeyPatch):
    point = SimpleNamespace(name="other", value="wsvad.encoders.motion:Motion")
    monkeypatch.setattr("wsvad.registry._points_of", lambda kind, path: [point] if kind == "encoder" else [])
    assert "other" in list(ENCODERS)
    assert len(build("motion+other")) == 2


class Clip(SimpleNamespace):
    """An encoder that takes anything, and says nothing of files."""

    input, argument, summary = "video", "NAME", ""


class Lower(Clip):
    """One with an idea of its own of what its argument means."""

    @staticmethod
    def resolve(argument: str) -> str:
        return argument.lower()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    places = ENCODERS._all_places()
    monkeypatch.setattr(ENCODERS, "_all_places", lambda: places | {"clip": "clips:Clip", "lower": "clips:Lower"})
    monkeypatch.setattr("clips.Clip", Clip, raising=False)
    monkeypatch.setattr("clips.Lower", Lower, raising=False)


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    ("typed", "resolved"),
    [
        ("motion", "motion"),
        ("onnx:net.onnx", "onnx:{here}/net.onnx"),
        ("tflite:~/a+b.tflite", "tflite:{home}/a+b.tflite"),
        ("lsa:captions.jsonl", "lsa:{here}/captions.jsonl"),
        ("sentence:mini:captions.jsonl", "sentence:{here}/mini:{here}/captions.jsonl"),
        ("clip:openai/clip-vit-base-patch16", "clip:openai/clip-vit-base-patch16"),
        ("clip:a//b/../c:d e", "clip:a//b/../c:d e"),
        ("clip:/{here}", "clip:/{here}"),
        ("motion+lower:HSV+onnx:net.onnx+clip:x+y", "motion+lower:hsv+onnx:{here}/net.onnx+clip:x+y"),
        ("onnx:", "onnx:"),
    ],
)
def test_an_argument_is_its_encoders_affair(typed, resolved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {"here": str(tmp_path), "home": str(tmp_path / "home")}
    typed, resolved = typed.format(**places), resolved.format(**places)
    assert resolve(typed) == (resolved, None)
    assert resolve(resolved) == (resolved, None)
    assert shortened(resolved) == typed.replace("~", "home").replace("HSV", "hsv")


def test_auto_resolves_with_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSVAD_MODELS", ".")
    write_network(tmp_path / "net.onnx")
    assert resolve("auto") == (f"motion+onnx:{tmp_path}/net.onnx", auto()[1])


def test_a_broken_network_is_one_line(tmp_path: Path):
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(WsvadError) as caught:
        build(f"onnx:{tmp_path / 'net.onnx'}")
    assert "\n" not in str(caught.value)
