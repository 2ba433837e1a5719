"""Networks of a few hundred bytes, as they come from exporters: ONNX in one file or two, and TensorFlow Lite."""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
"""5 features from 3 channels."""


def external(name: str, location: str, weights: np.ndarray) -> TensorProto:
    """A tensor whose numbers are in a file."""
    tensor = numpy_helper.from_array(weights, name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(weights.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def onnx_network(weights: TensorProto, *nodes: onnx.NodeProto, shape: tuple[Any, ...] = (1, 3, 4, 6)) -> bytes:
    """A convolution of an image by the tensor `w`, `(5, 3, 1, 1)`, and more nodes before it."""
    graph = helper.make_graph(
        [*nodes, helper.make_node("Conv", ["image", "w"], ["map"])],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [None] * 4)],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def tflite_network(shape: tuple[int, ...] = (1, 4, 6, 3), output: int = 3) -> bytes:
    """The same convolution, channels last. The output may be 4, a tensor that nothing computes."""
    of = schema.TensorType.FLOAT32
    tensors = []
    for name, sizes, buffer in (
        ("image", shape, 0),
        ("w", (5, 1, 1, 3), 1),
        ("b", (5,), 2),
        ("map", (*shape[:3], 5), 0),
        ("nothing", (*shape[:3], 5), 0),
    ):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(sizes), of, buffer
        tensors.append(tensor)
    buffers = [schema.BufferT() for _ in range(3)]
    buffers[1].data, buffers[2].data = list(WEIGHTS.tobytes()), list(bytes(20))
    node, code = schema.OperatorT(), schema.OperatorCodeT()
    node.opcodeIndex, node.inputs, node.outputs = 0, [0, 1, 2], [3]
    node.builtinOptionsType, node.builtinOptions = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    node.builtinOptions.strideW = node.builtinOptions.strideH = 1
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators, graph.name = tensors, [0], [output], [node], b"net"
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], buffers, [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def write_constant(
    path: Path,
    outputs: dict[str, np.ndarray],
    *,
    shape: tuple[Any, ...] = (1, 64, 64, 3),
    of: int = TensorProto.UINT8,
    shifts: dict[str, np.ndarray] | None = None,
) -> Path:
    """A network that gives the same whatever it sees, plus `shifts` times the mean of its input."""
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=list(range(len(shape))), keepdims=0),
    ]
    tensors, infos = [], []
    for name, values in outputs.items():
        shift = (shifts or {}).get(name, np.zeros_like(values))
        for part, numbers in (("value", values), ("shift", shift)):
            tensors.append(numpy_helper.from_array(np.asarray(numbers, np.float32), f"{name} {part}"))
        nodes += [
            helper.make_node("Mul", [f"{name} shift", "mean"], [f"{name} part"]),
            helper.make_node("Add", [f"{name} value", f"{name} part"], [name]),
        ]
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(np.shape(values))))
    graph = helper.make_graph(
        nodes, "constant", [helper.make_tensor_value_info("image", of, list(shape))], infos, tensors
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path
