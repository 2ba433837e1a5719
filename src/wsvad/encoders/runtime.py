"""A network in a file: open it, see what goes in and comes out, run it. ONNX by onnxruntime, TFLite by LiteRT."""

import importlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from wsvad.encoders.external_data import network_files
from wsvad.errors import WsvadError

MOST_NUMBERS = 2**25
"""Numbers that a network reads at once, at most: more than a picture of 3840x2160 has."""
TRIAL = """
import sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.invoke()
"""
"""Opens a TensorFlow Lite file and runs it once on whatever stands in its input."""
PATIENCE = 120
"""Seconds that it may take."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a network, as its file describes it. Sizes that are free are None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    scale: float = 0.0
    """Real value = scale · (stored integer − zero); 0 where it is not quantised."""
    zero: int = 0

    def real(self, stored: np.ndarray) -> np.ndarray:
        """Stored numbers → real ones (float32); integers that are not quantised stay as they are."""
        if self.scale:
            return (stored.astype(np.float32) - self.zero) * np.float32(self.scale)
        return stored.astype(np.float32, copy=False) if stored.dtype.kind == "f" else stored


class OnnxFile:
    """An ONNX file, run by onnxruntime on the CPU."""

    extra: ClassVar[str] = "onnx"
    runtime: ClassVar[str] = "onnxruntime"

    def __init__(self, path: Path, threads: int):
        import onnxruntime

        self.path = path
        self.files = network_files(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4  # errors are told here, in one line
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors have no common class below Exception
            raise WsvadError(f"{path}: not a network in ONNX format ({_one_line(error)})") from None
        self.inputs = [_onnx_tensor(node) for node in self._session.get_inputs()]
        _check_sizes(path, [tensor.shape for tensor in self.inputs])
        self.outputs = [_onnx_tensor(node) for node in self._session.get_outputs()]

    def run(self, batches: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """These outputs for a batch at every input."""
        try:
            return list(self._session.run(outputs, batches))
        except Exception as error:  # as above
            raise WsvadError(f"{self.path}: does not run on {_shapes(batches)} ({_one_line(error)})") from None


class TfLiteFile:
    """A TensorFlow Lite file, run by LiteRT on the CPU."""

    extra: ClassVar[str] = "litert"
    runtime: ClassVar[str] = "ai_edge_litert"

    def __init__(self, path: Path, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        self.files = [path]
        _try(path, path.stat().st_size, path.stat().st_mtime_ns)
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            _check_sizes(path, [tuple(detail["shape"]) for detail in self._interpreter.get_input_details()])
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WsvadError(f"{path}: not a network in TensorFlow Lite format ({_one_line(error)})") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._index = {detail["name"]: detail["index"] for detail in (*outputs, *inputs)}
        self._fed = {detail["name"]: tuple(detail["shape"]) for detail in inputs}
        self.inputs = [_tflite_tensor(detail) for detail in inputs]
        self.outputs = [_tflite_tensor(detail) for detail in outputs]

    def run(self, batches: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """These outputs for a batch at every input."""
        shapes = {name: batch.shape for name, batch in batches.items()}
        try:
            if shapes != self._fed:
                for name, shape in shapes.items():
                    self._interpreter.resize_tensor_input(self._index[name], shape)
                self._fed = {}  # unknown until it has worked
                self._interpreter.allocate_tensors()
                self._fed = shapes
            for name, batch in batches.items():
                self._interpreter.set_tensor(self._index[name], batch)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(self._index[output]) for output in outputs]
        except (ValueError, RuntimeError) as error:
            raise WsvadError(f"{self.path}: does not run on {_shapes(batches)} ({_one_line(error)})") from None


FORMATS: dict[str, type[OnnxFile] | type[TfLiteFile]] = {"onnx": OnnxFile, "tflite": TfLiteFile}
"""By the suffix of the file."""


def open_network(path: Path, format: str | None = None, threads: int = 1) -> OnnxFile | TfLiteFile:
    """Open a network, in the format that its suffix names unless `format` does.

    Raises:
        WsvadError: no such file, no network of this format, or the library that runs it is not installed.
    """
    if not path.is_file():
        raise WsvadError(f"{path}: there is no such file; nothing is downloaded, so put the network there")
    kind = FORMATS.get(format or path.suffix.lower().removeprefix("."))
    if kind is None:
        raise WsvadError(f"{path}: neither .onnx nor .tflite; give a network in one of these formats")
    try:
        importlib.import_module(kind.runtime)
    except ImportError:
        raise WsvadError(
            f"{path}: running it needs {kind.runtime}, which is not installed; pip install 'wsvad[{kind.extra}]'"
        ) from None
    return kind(path, threads)


@lru_cache(maxsize=64)
def _try(path: Path, size: int, changed: int) -> None:
    """Open a TensorFlow Lite file in a process of its own, once for each state of the file: LiteRT follows the offsets
    in it unchecked, and a damaged one may end the process without a word.

    Raises:
        WsvadError: it did, or did not come to an end.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", TRIAL, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise WsvadError(f"{path}: damaged (it does not open within {PATIENCE} s); use an intact copy") from None
    if done.returncode < 0:
        raise WsvadError(f"{path}: damaged (LiteRT crashes on it); use an intact copy")


def _check_sizes(path: Path, shapes: Sequence[tuple[int | None, ...]]) -> None:
    """Refuse inputs that no memory holds, before any is made."""
    for shape in shapes:
        if prod(int(size or 1) for size in shape) > MOST_NUMBERS:
            shown = "x".join("?" if size is None else str(size) for size in shape)
            raise WsvadError(
                f"{path}: its input is {shown}, more than {MOST_NUMBERS:,} numbers at once; export a smaller one"
            )


def _onnx_tensor(node: Any) -> Tensor:
    """onnxruntime writes types as `tensor(float)`, and free sizes as names or None."""
    kind = node.type.removeprefix("tensor(").removesuffix(")")
    same = ("float16", "uint8", "int8", "uint16", "int16", "int32", "int64")
    numbers = {"float": "float32", "double": "float64"} | {name: name for name in same}
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in node.shape)
    return Tensor(name=node.name, shape=shape, dtype=np.dtype(numbers.get(kind, "object")))


def _tflite_tensor(detail: dict[str, Any]) -> Tensor:
    """LiteRT writes free sizes as -1 in the signature."""
    shape = tuple(int(size) if size > 0 else None for size in detail["shape_signature"])
    scale, zero = detail["quantization"]
    return Tensor(name=detail["name"], shape=shape, dtype=np.dtype(detail["dtype"]), scale=float(scale), zero=int(zero))


def _shapes(batches: dict[str, np.ndarray]) -> str:
    return ", ".join(str(list(batch.shape)) for batch in batches.values())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "it cannot be set up"
