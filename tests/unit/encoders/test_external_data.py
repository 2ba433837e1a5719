"""Weights beside an ONNX file: they are part of the network, wherever the graph refers to them."""

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import small_networks
from onnx import TensorProto, helper, numpy_helper

from wsvad.encoders import auto, external_data
from wsvad.encoders.external_data import network_files
from wsvad.encoders.network import Onnx
from wsvad.errors import WsvadError
from wsvad.files import sha256

WEIGHTS = small_networks.WEIGHTS[:, :, None, None]


def external(name: str, location: str) -> TensorProto:
    """The weights, in a file."""
    return small_networks.external(name, location, WEIGHTS)


def network(path: Path, tensor: TensorProto, *nodes: onnx.NodeProto) -> Path:
    """A convolution by the weights `w`."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(small_networks.onnx_network(tensor, *nodes))
    return path


def test_the_passport_knows_the_weights_that_lie_beside_the_graph(tmp_path):
    path, data = network(tmp_path / "a.onnx", external("w", "a.onnx.data")), tmp_path / "a.onnx.data"
    data.write_bytes(WEIGHTS.tobytes())
    both = hashlib.sha256((sha256(path) + sha256(data)).encode()).hexdigest()
    assert Onnx(path).passport()["weights"] == both
    data.write_bytes((2 * WEIGHTS).tobytes())
    other = Onnx(path).passport()["weights"]
    assert other != both
    data.write_bytes(WEIGHTS.tobytes())
    assert Onnx(path).passport()["weights"] == both


def test_a_network_in_one_file_keeps_its_hash(tmp_path):
    path = network(tmp_path / "a.onnx", numpy_helper.from_array(WEIGHTS, "w"))
    (tmp_path / "a.onnx.data").write_bytes(b"of another network")
    assert Onnx(path).passport()["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()


def in_graphs(location: str) -> TensorProto:
    """Weights in a constant of a branch of a branch."""
    constant = helper.make_node("Constant", [], ["c"], value=external("c", location))
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)])
    choice = helper.make_node("If", ["yes"], ["d"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([choice], "outer", [], [helper.make_tensor_value_info("d", TensorProto.FLOAT, None)])
    return helper.make_node("If", ["yes"], ["e"], then_branch=outer, else_branch=outer)


def sparse(location: str) -> onnx.NodeProto:
    values = helper.make_sparse_tensor(external("v", location), numpy_helper.from_array(np.zeros(1, np.int64)), [9])
    return helper.make_node("Constant", [], ["s"], sparse_value=values)


@pytest.mark.parametrize(
    "node",
    [
        lambda name: helper.make_node("Constant", [], ["c"], value=external("c", name)),
        in_graphs,
        sparse,
        lambda name: helper.make_node("Any", [], ["c"], several=[external("a", name), external("b", name)]),
    ],
)
def test_weights_are_found_wherever_a_graph_may_hold_a_tensor(tmp_path, node):
    path = network(tmp_path / "a.onnx", external("w", "unused"), node("there.bin"))
    for name in ("there.bin", "unused"):
        (tmp_path / name).write_bytes(WEIGHTS.tobytes())
    assert network_files(path) == [path, tmp_path / "there.bin", tmp_path / "unused"]


def test_weights_in_functions_and_several_files_are_each_found_once(tmp_path):
    model = onnx.load(network(tmp_path / "a.onnx", external("w", "b")), load_external_data=False)
    constant = helper.make_node("Constant", [], ["c"], value=external("c", "a"))
    model.functions.add().CopyFrom(helper.make_function("own", "f", [], ["c"], [constant], []))
    model.graph.initializer.append(external("again", "b"))
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    for name in "ab":
        (tmp_path / name).write_bytes(b"x")
    assert network_files(tmp_path / "a.onnx") == [tmp_path / name for name in ("a.onnx", "a", "b")]


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("../w.data", "outside of its own folder"),
        ("deeper/../../w.data", "outside of its own folder"),
        ("/etc/hostname", "outside of its own folder"),
        ("leads-away", "outside of its own folder"),
        ("missing", "which is not there; copy that file"),
        ("not/../own.data", "which is not there"),
        ("folder", "which is not there"),
        ("pipe", "which is not there"),
        ("", "which is not there"),
        ("*/_ORT_MEM_ADDR_/*", "which is not there"),
        ("x" * 5000, "which is no name of a file"),
        ("a\0b", "which is no name of a file"),
    ],
)
def test_weights_are_in_the_networks_own_folder(tmp_path, location, says):
    path = network(tmp_path / "net" / "a.onnx", external("w", location))
    for data in (tmp_path / "w.data", path.parent / "own.data"):
        data.write_bytes(WEIGHTS.tobytes())
    (path.parent / "folder").mkdir()
    (path.parent / "leads-away").symlink_to(tmp_path / "w.data")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(WsvadError, match=says) as caught:
        Onnx(path)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < 500 + len(str(path))


def test_weights_in_a_folder_below_and_a_network_behind_a_link_are_run(tmp_path):
    path = network(tmp_path / "net" / "a.onnx", external("w", "data/w"))
    (path.parent / "data").mkdir()
    (path.parent / "data" / "w").write_bytes(WEIGHTS.tobytes())
    assert Onnx(path).width == 10
    (tmp_path / "link.onnx").symlink_to(path)
    (tmp_path / "data").symlink_to(path.parent / "data")
    assert network_files(tmp_path / "link.onnx") == [tmp_path / "link.onnx", tmp_path / "data" / "w"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        b"\x3a\x7f" + b"x" * 10,  # a graph of 127 bytes, of which 10 are there
        b"\x3b",  # a group, which no such file has
        b"\x3a\x06\x2a\x04\x6a\x02\x0a\x7f",  # a name longer than what holds it
    ],
)
def test_what_is_no_network_is_one_line(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(WsvadError, match=r"a\.onnx: not a network in ONNX format"):
        Onnx(tmp_path / "a.onnx")


def test_files_of_more_parts_than_any_network_has_are_not_read_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(external_data, "MANY", 1000)
    (tmp_path / "a.onnx").write_bytes(b"\x08\x01" * 1001)
    with pytest.raises(WsvadError, match="more than 1,000 parts"):
        Onnx(tmp_path / "a.onnx")


def test_graphs_without_end_are_not_followed(tmp_path):
    content = b""
    for tag in [b"\x32", b"\x2a", b"\x0a"] * 40:  # a graph in an attribute, in a node, in a graph …
        length, size = len(content), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        content = tag + size + bytes([length]) + content
    (tmp_path / "a.onnx").write_bytes(b"\x3a" + bytes([len(content) & 127 | 128, len(content) >> 7]) + content)
    with pytest.raises(WsvadError, match="messages inside each other, more than 100"):
        Onnx(tmp_path / "a.onnx")


def calling(path: Path, *bodies: list[onnx.NodeProto], first: str = "F0") -> Path:
    """A network that calls functions of a domain of its own, `F0` and so on."""
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    functions = [helper.make_function("own", f"F{i}", ["a"], ["b"], body, domains) for i, body in enumerate(bodies)]
    if first == "Relu":
        functions[0].name = first
    graph = helper.make_graph(
        [helper.make_node(first, ["image"], ["x"], domain="own"), helper.make_node("Flatten", ["x"], ["y"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=domains, functions=functions, ir_version=9).SerializeToString()
    )
    return path


def call(function: int, *names: str) -> onnx.NodeProto:
    return helper.make_node(f"F{function}", *([name] for name in names), domain="own")


def relu() -> list[onnx.NodeProto]:
    return [helper.make_node("Relu", ["a"], ["b"])]


def test_functions_that_call_each_other_end(tmp_path):
    """Of 26 functions each calls the next one twice: 60 bytes each, and 2²⁵ nodes."""
    twice = [[call(i + 1, "a", "t"), call(i + 1, "t", "b")] for i in range(25)]
    with pytest.raises(WsvadError, match=r"not a network in ONNX format \(functions that become more than 2,000,000"):
        network_files(calling(tmp_path / "many.onnx", *twice, relu()))
    with pytest.raises(WsvadError, match=r"functions inside each other, more than 100"):
        network_files(calling(tmp_path / "itself.onnx", [call(0, "a", "b")]))
    path = calling(tmp_path / "net.onnx", *[[call(i + 1, "a", "t"), call(i + 1, "t", "b")] for i in range(9)], relu())
    for network in (calling(tmp_path / "few.onnx", *[[call(i + 1, "a", "b")] for i in range(3)], relu()), path):
        assert network_files(network) == [network]
    # A function may have the name of an operator that it calls.
    network = calling(tmp_path / "named.onnx", relu(), first="Relu")
    assert network_files(network) == [network] and Onnx(network).width == 3 * 4 * 6 * 2


def test_auto_counts_weights_beside_the_graph(tmp_path, monkeypatch):
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path))
    small = network(tmp_path / "small.onnx", numpy_helper.from_array(WEIGHTS, "w"))
    network(tmp_path / "large.onnx", external("w", "large.data"))
    (tmp_path / "large.data").write_bytes(bytes(2 * small.stat().st_size))
    (tmp_path / "folder.onnx").mkdir()
    assert auto()[0] == f"motion+onnx:{tmp_path / 'large.onnx'}"
