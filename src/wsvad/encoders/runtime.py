"""A network in a file: open it, see what goes in and comes out, run it. ONNX by onnxruntime or OpenVINO, TFLite by
LiteRT."""

import difflib
import importlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from wsvad.encoders.external_data import inner_tensors, network_files, with_output
from wsvad.errors import WsvadError, refuse_shortage
from wsvad.spelling import plain, reason

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
    """An ONNX file, run by onnxruntime, on the CPU or where else it is moved."""

    extra: ClassVar[str] = "onnx"
    runtime: ClassVar[str] = "onnxruntime"
    providers: ClassVar[dict[str, str]] = {"cuda": "CUDAExecutionProvider", "mps": "CoreMLExecutionProvider"}
    """Device → who runs a network there."""

    def __init__(self, path: Path, threads: int):
        import onnxruntime

        self.path = path
        self.files = network_files(path)
        self._model: Path | bytes = path
        self._provider: Any = "CPUExecutionProvider"
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = self._options.inter_op_num_threads = threads
        self._options.log_severity_level = 4  # errors are told here, in one line
        self._open()
        self.inputs = [_onnx_tensor(node) for node in self._session.get_inputs()]
        _check_sizes(path, [tensor.shape for tensor in self.inputs])
        self.outputs = [_onnx_tensor(node) for node in self._session.get_outputs()]

    def tap(self, name: str) -> Tensor:
        """Any tensor of the graph, which is an output from now on.

        Raises:
            WsvadError: there is none of that name.
        """
        _check_name(self.path, name, self.outputs, inner_tensors(self.path))
        self._model = with_output(self.path, name)
        folder = str(self.path.parent.absolute())  # where weights are that lie beside a graph in memory
        self._options.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
        self._open()
        self.outputs = [_onnx_tensor(node) for node in self._session.get_outputs()]
        return next(tensor for tensor in self.outputs if tensor.name == name)

    def runs_on(self, device: str) -> bool:
        """Whether the onnxruntime that is installed runs networks on such a device."""
        import onnxruntime

        return self.providers.get(device) in onnxruntime.get_available_providers()

    def to(self, device: str, number: int | None = None) -> None:
        """Run it there from now on.

        Raises:
            WsvadError: it does not run there.
        """
        options = {} if number is None else {"device_id": str(number)}
        wanted = "CPUExecutionProvider" if device == "cpu" else self.providers[device]
        self._provider = (wanted, options)
        self._open(f"onnxruntime does not open it on {device}")
        if self._session.get_providers()[0] != wanted:  # it takes the CPU where libraries are missing, without a word
            raise WsvadError(
                f"{self.path}: onnxruntime does not run it on {device}, of which libraries are missing; install them, "
                "or run with --device cpu"
            )

    def run(self, batches: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """These outputs for a batch at every input."""
        try:
            return list(self._session.run(outputs, batches))
        except Exception as error:  # as below
            refuse_shortage(error, self.path)
            raise WsvadError(f"{self.path}: does not run on {_shapes(batches)} ({reason(error)})") from None

    def _open(self, failed: str = "not a network in ONNX format") -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(self._model, self._options, providers=[self._provider])
        except Exception as error:  # onnxruntime's own errors have no common class below Exception
            refuse_shortage(error, self.path)
            raise WsvadError(f"{self.path}: {failed} ({reason(error)})") from None


class OpenVinoFile:
    """An ONNX file, run by OpenVINO on the CPU, in 32 bits."""

    extra: ClassVar[str] = "openvino"
    runtime: ClassVar[str] = "openvino"

    def __init__(self, path: Path, threads: int):
        openvino = imported("openvino")
        self.path = path
        self.files = network_files(path)
        # Where the processor has it, bfloat16 would be taken unasked.
        self._settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        try:
            self._graph = openvino.Core().read_model(path)
            self.inputs = [_openvino_tensor(port) for port in self._graph.inputs]
        except Exception as error:  # OpenVINO raises RuntimeError and others of its own
            raise WsvadError(f"{path}: OpenVINO does not read it ({reason(error)})") from None
        _check_sizes(path, [tensor.shape for tensor in self.inputs])
        self._compile()

    def tap(self, name: str) -> Tensor:
        """As `OnnxFile.tap`."""
        _check_name(self.path, name, self.outputs, inner_tensors(self.path))
        try:
            self._graph.add_outputs(name)
        except Exception as error:  # as above
            raise WsvadError(f"{self.path}: OpenVINO cannot tap '{plain(name)}' ({reason(error)})") from None
        self._compile()
        return next(tensor for tensor in self.outputs if tensor.name == name)

    def runs_on(self, device: str) -> bool:
        return False

    def to(self, device: str, number: int | None = None) -> None:
        raise ValueError(f"{self.path}: OpenVINO runs it on the CPU, not on {device}")

    def run(self, batches: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        """These outputs for a batch at every input."""
        try:
            found = self._compiled(batches)
            return [np.array(found[self._ports[name]]) for name in outputs]
        except Exception as error:  # as above
            raise WsvadError(f"{self.path}: does not run on {_shapes(batches)} ({reason(error)})") from None

    def _compile(self) -> None:
        openvino = imported("openvino")
        try:
            self._compiled = openvino.Core().compile_model(self._graph, "CPU", self._settings)
        except Exception as error:  # as above
            raise WsvadError(f"{self.path}: OpenVINO does not run it ({reason(error)})") from None
        self._ports = {_port_name(port): port for port in self._compiled.outputs}
        self.outputs = [_openvino_tensor(port) for port in self._compiled.outputs]


class TfLiteFile:
    """A TensorFlow Lite file, run by LiteRT on the CPU."""

    extra: ClassVar[str] = "litert"
    runtime: ClassVar[str] = "ai_edge_litert"

    def __init__(self, path: Path, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        self.path, self._threads = path, threads
        self.files = [path]
        _try(path, path.stat().st_size, path.stat().st_mtime_ns)
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            _check_sizes(path, [tuple(detail["shape"]) for detail in self._interpreter.get_input_details()])
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WsvadError(f"{path}: not a network in TensorFlow Lite format ({reason(error)})") from None
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._index = {detail["name"]: detail["index"] for detail in (*outputs, *inputs)}
        self._fed = {detail["name"]: tuple(detail["shape"]) for detail in inputs}
        self.inputs = [_tflite_tensor(detail) for detail in inputs]
        self.outputs = [_tflite_tensor(detail) for detail in outputs]

    def tap(self, name: str) -> Tensor:
        """As `OnnxFile.tap`; the memory of every tensor is kept from now on."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        plainly = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # which would join layers into one
        self._interpreter = Interpreter(
            str(self.path),
            num_threads=self._threads,
            experimental_op_resolver_type=plainly,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._fed = {detail["name"]: tuple(detail["shape"]) for detail in self._interpreter.get_input_details()}
        found = {detail["name"]: detail for detail in self._interpreter.get_tensor_details()}
        _check_name(self.path, name, self.outputs, list(found))
        self._index[name] = found[name]["index"]
        self.outputs.append(_tflite_tensor(found[name]))
        return self.outputs[-1]

    def runs_on(self, device: str) -> bool:
        return False

    def to(self, device: str, number: int | None = None) -> None:
        raise ValueError(f"{self.path}: LiteRT runs it on the CPU, not on {device}")

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
            raise WsvadError(f"{self.path}: does not run on {_shapes(batches)} ({reason(error)})") from None


NetworkFile = OnnxFile | OpenVinoFile | TfLiteFile
Runtime = Literal["onnxruntime", "openvino"]
"""What can run an ONNX file."""
FORMATS: dict[str, type[NetworkFile]] = {"onnx": OnnxFile, "tflite": TfLiteFile}
"""By the suffix of the file."""


def open_network(path: Path, format: str | None = None, threads: int = 1, runtime: str | None = None) -> NetworkFile:
    """Open a network, in the format that its suffix names unless `format` does.

    Args:
        runtime: what runs an ONNX file, onnxruntime by default.

    Raises:
        WsvadError: no such file, no network of this format, or the library that runs it is not installed.
    """
    if not path.is_file():
        raise WsvadError(f"{path}: there is no such file; nothing is downloaded, so put the network there")
    kind = FORMATS.get(format or path.suffix.lower().removeprefix("."))
    if kind is None:
        raise WsvadError(f"{path}: neither .onnx nor .tflite; give a network in one of these formats")
    if runtime is not None and kind is not OnnxFile:
        raise WsvadError(f"{path}: 'runtime: {runtime}' is for .onnx files; leave it out")
    kind = OpenVinoFile if runtime == "openvino" else kind
    try:
        imported(kind.runtime)
    except ImportError:
        raise WsvadError(
            f"{path}: running it needs {kind.runtime}, which is not installed; pip install 'wsvad[{kind.extra}]'"
        ) from None
    return kind(path, threads)


def output_of(file: NetworkFile, name: str | None) -> Tensor:
    """The output of that name, which may be any tensor inside of the network; the first one where none is asked for.

    Raises:
        WsvadError: there is none.
    """
    if not file.outputs:
        raise WsvadError(f"{file.path}: it has no output; export it again, or use another network")
    wanted = name or file.outputs[0].name
    return next((tensor for tensor in file.outputs if tensor.name == wanted), None) or file.tap(wanted)


def imported(runtime: str) -> Any:
    """A library that runs networks. OpenVINO otherwise reports to its makers, over the network, that it is imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    return importlib.import_module(runtime)


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


def _openvino_tensor(port: Any) -> Tensor:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return Tensor(name=_port_name(port), shape=shape, dtype=np.dtype(port.get_element_type().to_dtype()))


def _port_name(port: Any) -> str:
    """What the ONNX file calls it; OpenVINO may have other names for it as well."""
    return min(port.get_names(), key=lambda name: (":" in name, name), default="")


def _check_name(path: Path, name: str, outputs: Sequence[Tensor], inside: Sequence[str]) -> None:
    """Raises: WsvadError, the network has no tensor of that name; near ones are told."""
    if name not in inside:
        near = difflib.get_close_matches(name, inside, n=5, cutoff=0.4)
        close = f"; near names inside of it: {plain(', '.join(near))}" if near else ""
        named = plain(", ".join(tensor.name for tensor in outputs))
        raise WsvadError(f"{path}: it has no output '{plain(name)}'; its outputs are: {named}{close}")


def _tflite_tensor(detail: dict[str, Any]) -> Tensor:
    """LiteRT writes free sizes as -1 in the signature."""
    shape = tuple(int(size) if size > 0 else None for size in detail["shape_signature"])
    scale, zero = detail["quantization"]
    return Tensor(name=detail["name"], shape=shape, dtype=np.dtype(detail["dtype"]), scale=float(scale), zero=int(zero))


def _shapes(batches: dict[str, np.ndarray]) -> str:
    return ", ".join(str(list(batch.shape)) for batch in batches.values())
