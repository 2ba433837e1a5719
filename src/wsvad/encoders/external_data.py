"""Files that an ONNX file refers to: weights above 2 GB, or of an exporter's choice, lie beside the graph.

An ONNX file is a protocol buffer. Of its messages, those are walked that may hold a tensor; numbers are skipped, and no
library that reads them is needed. Message and field numbers are those of `onnx.proto3`.
"""

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wsvad.errors import WsvadError

PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
    "external": {1: "key", 2: "value"},
}
"""Message → field → what it holds."""
DEEPEST = 100
"""Messages inside each other, as many as readers of protocol buffers allow."""
MANY = 2_000_000
"""Fields of a file, and nodes of a network; the largest networks have some ten thousand."""
CHANNELS_FIRST = (
    "Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "DeformConv", "BatchNormalization", "InstanceNormalization",
    "GroupNormalization", "LRN", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool",
    "DepthToSpace", "SpaceToDepth", "GridSample",
)  # fmt: skip
"""What computes on maps with their channels right behind the batch, in every ONNX file."""


def network_files(path: Path) -> list[Path]:
    """An ONNX file and the files of weights that it refers to, each once, in the order of their names.

    Raises:
        WsvadError: it is no ONNX file, or one whose functions become a network without end; such a file is not there,
            or is not in the network's own folder.
    """
    with path.open("rb") as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                locations = sorted(set(_locations(content)))
                _check_functions(content)
        except (ValueError, IndexError) as error:  # an empty file, or one that ends too early
            raise WsvadError(f"{path}: not a network in ONNX format ({error})") from None
    return [path, *(_beside(path, location) for location in locations)]


def inner_tensors(path: Path) -> list[str]:
    """The names of all that the nodes of an ONNX file's graph give, in their order.

    Raises:
        WsvadError: it is no ONNX file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            return [
                content[start:end].decode(errors="replace")
                for graph in _fields(content, 0, len(content), 7)
                for node in _fields(content, *graph, 1)
                for start, end in _fields(content, *node, 2)
                if end > start
            ]
        except (ValueError, IndexError) as error:
            raise WsvadError(f"{path}: not a network in ONNX format ({error})") from None


def channels_first(path: Path, name: str) -> bool | None:
    """Whether a map inside of an ONNX file, of four axes, has its channels before height and width: a convolution gives
    them so, and a transposition moves them. None where none of these is between the image and it.

    Raises:
        WsvadError: it is no ONNX file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            made: dict[bytes | None, tuple[int, int]] = {
                content[slice(*output)]: node
                for graph in _fields(content, 0, len(content), 7)
                for node in _fields(content, *graph, 1)
                if next(_fields(content, *node, 1), None)  # else a constant
                for output in _fields(content, *node, 2)
            }
            tensor = name.encode()
            while node := made.pop(tensor, None):  # taken out, so that a circle ends
                operation = next((content[slice(*one)].decode() for one in _fields(content, *node, 4)), "")
                if operation in CHANNELS_FIRST:
                    return True
                moved = _axes(content, *node) if operation == "Transpose" else []
                if moved in ([0, 2, 3, 1], [0, 3, 1, 2]):
                    return moved == [0, 3, 1, 2]
                tensor = next((one for i in _fields(content, *node, 1) if (one := content[slice(*i)]) in made), b"")
        except (ValueError, IndexError) as error:
            raise WsvadError(f"{path}: not a network in ONNX format ({error})") from None
    return None


def with_output(path: Path, name: str) -> bytes:
    """An ONNX file with one more output. A message that follows another of its kind in a protocol buffer is merged with
    it, so that what is added stands at the end."""
    value = _message(1, name.encode())
    return path.read_bytes() + _message(7, _message(12, value))


def _axes(content: Any, place: int, end: int) -> list[int]:
    """The whole numbers in the attributes of a node, one after the other or packed."""
    found = []
    for attribute in _fields(content, place, end, 5):
        place, end = attribute
        while place < end:
            tag, place = _number(content, place)
            start, place = _extent(content, place, tag & 7)
            if tag >> 3 == 8:
                while start < place:
                    value, start = _number(content, start)
                    found.append(value)
    return found


def _check_functions(content: Any) -> None:
    """Runtimes put the nodes of a function wherever it is called, those of functions that it calls as well.

    Raises:
        ValueError: this would never end, or fill the memory.
    """
    whole, bodies = (0, len(content)), dict[tuple[bytes, bytes], list[tuple[int, int]]]()
    for function in _fields(content, *whole, 25):
        key = (_text(content, function, 10), _text(content, function, 1))
        bodies.setdefault(key, []).extend(_fields(content, *function, 7))
    sizes = dict[tuple[bytes, bytes], int]()

    def size(nodes: Iterable[tuple[int, int]], depth: int) -> int:
        if depth > DEEPEST:
            raise ValueError(f"functions inside each other, more than {DEEPEST}")
        total = 0
        for node in nodes:
            total += 1 + called((_text(content, node, 7), _text(content, node, 4)), depth)
            for attribute in _fields(content, *node, 5):
                for graph in (*_fields(content, *attribute, 6), *_fields(content, *attribute, 11)):
                    total += size(_fields(content, *graph, 1), depth + 1)
        if total > MANY:
            raise ValueError(f"functions that become more than {MANY:,} nodes")
        return total

    def called(key: tuple[bytes, bytes], depth: int) -> int:
        if key in bodies and key not in sizes:
            sizes[key] = size(bodies[key], depth + 1)
        return sizes.get(key, 0)

    if bodies:
        for graph in _fields(content, *whole, 7):
            size(_fields(content, *graph, 1), 0)


def _text(content: Any, message: tuple[int, int], field: int) -> bytes:
    """What a field of a message says, the last time that it stands there."""
    found = [content[start:end] for start, end in _fields(content, *message, field)]
    return found[-1] if found else b""


def _message(field: int, content: bytes) -> bytes:
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([field << 3 | 2, *length, size]) + content


def _fields(content: Any, place: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the values of a field of a message begin and end."""
    while place < end:
        tag, place = _number(content, place)
        start, place = _extent(content, place, tag & 7)
        if place > end:
            raise ValueError("it ends too early")
        if tag >> 3 == wanted and tag & 7 == 2:
            yield start, place


def _beside(path: Path, location: str) -> Path:
    """A file of weights, in the folder of the network or below; or in that of the file that a link stands for."""
    found, named = path.parent / location, f"it refers to weights in {location[:200]!r}"
    try:
        real, there = found.resolve(), found.is_file()
        inside = any(real.is_relative_to(folder) for folder in (path.parent.resolve(), path.resolve().parent))
    except (OSError, ValueError, RuntimeError):  # a name too long, with a zero in it, or a link to itself
        raise WsvadError(f"{path}: {named}, which is no name of a file; export the network again") from None
    if not inside:
        raise WsvadError(f"{path}: {named}, outside of its own folder; put both into one folder and export it again")
    if not there:
        raise WsvadError(
            f"{path}: {named}, which is not there; copy that file to the network's folder, or export again"
        )
    return found


def _locations(content: Any) -> Iterator[str]:
    """The names of files in a serialised `ModelProto`.

    Raises:
        ValueError, IndexError: it is none.
    """
    todo: list[tuple[str, int, int, int]] = [("model", 0, len(content), 0)]
    fields = 0
    while todo:
        message, place, end, depth = todo.pop()
        if depth > DEEPEST:
            raise ValueError(f"messages inside each other, more than {DEEPEST}")
        texts: dict[str, bytes] = {}
        while place < end:
            fields += 1
            if fields > MANY:
                raise ValueError(f"more than {MANY:,} parts")
            tag, place = _number(content, place)
            start, place = _extent(content, place, tag & 7)
            if place > end:
                raise ValueError("it ends too early")
            part = PARTS[message].get(tag >> 3)
            if part in PARTS and tag & 7 == 2:
                todo.append((part, start, place, depth + 1))
            elif part:
                texts[part] = content[start:place]
        if texts.get("key") == b"location":
            yield texts.get("value", b"").decode()


def _extent(content: Any, place: int, wire: int) -> tuple[int, int]:
    """Where the value of a field begins and ends."""
    match wire:
        case 0:
            return place, _number(content, place)[1]
        case 1:
            return place, place + 8
        case 2:
            length, start = _number(content, place)
            return start, start + length
        case 5:
            return place, place + 4
        case _:
            raise ValueError("it is no protocol buffer")


def _number(content: Any, place: int) -> tuple[int, int]:
    """A number of up to ten bytes, seven bits in each, and where it ends."""
    value = 0
    for index in range(10):
        byte = content[place + index]
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, place + index + 1
    raise ValueError("it is no protocol buffer")
