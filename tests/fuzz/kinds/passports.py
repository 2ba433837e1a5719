"""Feature files of our own and of releases, as training, evaluation and the doctor read them."""

import json
import random
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from fuzz.harness import INTERNAL, UNCLEAR, Case, Fault, kind
from fuzz.mutate import as_json, damage_bytes, damaged_bytes, damaged_value, replace
from wsvad.datasets.bags import load_bags, pack
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.doctor.examine import compare_sets, diagnose, sentences
from wsvad.features.source import open_features
from wsvad.features.store import Passport
from wsvad.runs.normalisation import Normalisation
from wsvad.shapes import problems

SNIPPETS, WIDTH = 6, 5
VIDEOS = tuple(
    LabelledVideo(name=name, label=number % 2, category="abc"[number], split="train", frames=16 * SNIPPETS)
    for number, name in enumerate(("a.mp4", "b/c.mp4"))
)
PASSPORT = {
    "encoder": "motion", "width": WIDTH, "weights": "abc", "settings": {"size": [160, 120], "mean": {"a": [0.5]}},
    "window": 16, "tail": "keep", "decoder": "PyAV 18", "stride": 16, "frames": 16 * SNIPPETS,
    "frame_rate": "30000/1001", "source": "abc", "damaged": 0,
}  # fmt: skip
KINDS = ("F16", "F32", "F64", "BF16", "F8_E4M3", "I16", "U64", "BOOL", "C64", "X")


def numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@cache
def whole() -> dict[str, dict[str, bytes]]:
    """Kind of a set → its files."""
    times = np.arange(SNIPPETS + 1) * 16 * 1001 / 30000
    ours = {}
    for seed, video in enumerate(VIDEOS):
        tensors = {"features": numbers(seed, SNIPPETS, WIDTH), "times": times}
        ours[f"rgb/{video.name}.safetensors"] = save(tensors, metadata={"passport": json.dumps(PASSPORT)})
    borders = np.arange(SNIPPETS + 1) * 16
    resampled = {
        f"rgb/{video.name}.safetensors": save(
            {"features": numbers(seed, SNIPPETS, WIDTH), "times": times, "borders": borders},
            metadata={"passport": json.dumps(PASSPORT | {"rate": "10"})},
        )
        for seed, video in enumerate(VIDEOS)
    }
    crops = {f"rgb/{name}__{c}.npy": npy(numbers(c, SNIPPETS, WIDTH)) for name in "ac" for c in range(5)}
    single = {f"rgb/{name}.npy": npy(numbers(3, SNIPPETS, 10, WIDTH)) for name in "ac"}
    listed = {"rgb/list.csv": b"path,label\nx/a.npy,Normal\nx/c.npy,Abuse\n"}
    return {"ours": ours, "resampled": resampled, "crops": crops, "single": single, "listed": single | listed}


def npy(array: np.ndarray) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


@kind("passports")
def passports(rng: random.Random, folder: Path) -> Case:
    files = whole()[rng.choice(("ours", "ours", "ours", "resampled", "crops", "single", "listed"))]
    place = folder / "features"
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    damaged = place / rng.choice(list(files))
    if rng.random() < 0.1:
        replace(rng, damaged)
    elif damaged.suffix == ".safetensors" and rng.random() < 0.8:
        damaged.write_bytes(_safetensors(rng, damaged.read_bytes()))
    elif damaged.suffix == ".npy" and rng.random() < 0.7:
        damaged.write_bytes(_npy(rng, damaged.read_bytes()))
    else:
        damage_bytes(rng, damaged)
    return rng.choice((lambda: learnt(place), lambda: learnt(place), lambda: examined(place), lambda: compared(place)))


def _safetensors(rng: random.Random, content: bytes) -> bytes:
    """Its passport, its header, or its numbers."""
    (size,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    what = rng.randrange(4)
    if what < 2:
        value = json.loads(header["__metadata__"]["passport"])
        for _ in range(rng.choice((1, 1, 3))):
            value = damaged_value(rng, value)
        header["__metadata__"]["passport"] = as_json(value)
    elif what == 2:
        tensor = header[rng.choice(sorted(header.keys() & {"features", "times", "borders"}))]
        match rng.randrange(3):
            case 0:
                tensor["dtype"] = rng.choice(KINDS)
            case 1:
                tensor["shape"] = rng.choice(
                    ([], [0], [30], [0, 5], [5, 6], [1, 30], [3, 2, 5], [2**40, 2**40], [7], [-1])
                )
            case _:
                header = damaged_value(rng, header)
    else:
        data = _odd_numbers(rng, data)
    text = as_json(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data


def _odd_numbers(rng: random.Random, data: bytes) -> bytes:
    """One or all numbers are something else."""
    changed: Any = (
        np.frombuffer(data, np.float32).copy() if rng.random() < 0.5 else np.frombuffer(data, np.float64).copy()
    )
    value = rng.choice((np.nan, np.inf, -np.inf, 0, 1e38, -1e30, 1e-40, 1e5))
    changed[slice(None) if rng.random() < 0.3 else rng.randrange(len(changed))] = value
    return changed.tobytes()


def _npy(rng: random.Random, content: bytes) -> bytes:
    """Its description, or an array of another type or shape."""
    match rng.randrange(3):
        case 0:
            return content[:10] + damaged_bytes(rng, content[10:128]) + content[128:]
        case 1:
            kinds = ("<f2", ">f4", "<f8", "<f16", "<c8", "|b1", "<i2", ">u8", "|O", "<U3", "|V4", "<M8[s]", "x", "3f4")
            text = f"'{rng.choice(kinds)}'".encode()
            return content.replace(b"'<f4'", text.ljust(5))
        case _:
            shape = rng.choice(
                ("()", "(0,)", "(0, 5)", "(30,)", "(5, 6)", "(99, 99)", f"({2**62}, 4)", "(-1, 5)", "(1,)*9")
            )
            end = content.index(b"}")
            start = content.index(b"'shape': ") + 9
            head = content[10:start] + shape.encode() + b", }"
            return content[:10] + head.ljust(end - 9) + content[end + 1 :]


def learnt(place: Path) -> None:
    """What training and evaluation make of a set.

    Raises:
        Fault: features that are not numbers, or a clock that is none.
    """
    source = open_features(place)
    packed = pack(VIDEOS, source, ["rgb"], 4).streams
    normalised = Normalisation.fit({"rgb": "standardise"}, packed)(packed)
    for video, bag in zip(VIDEOS, load_bags(VIDEOS, source, ["rgb"]), strict=True):
        seconds, passport = bag.clock.seconds(), source.passport(video.name, "rgb")
        source.content(video.name, "rgb")
        if not bag.streams["rgb"].isfinite().all() or bag.clock.lengths.sum() != bag.frames:
            raise Fault(INTERNAL, f"{video.name}: no features, or no clock")
        if seconds is not None and (not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any()):
            raise Fault(INTERNAL, f"{video.name}: no times")
        if said := [*problems(passport.record() | {"widths": list(passport.widths)}, Passport)]:
            raise Fault(INTERNAL, said[0])
    if not normalised["rgb"].isfinite().all():
        raise Fault(INTERNAL, "normalised features are not finite")


def examined(place: Path) -> None:
    """What the doctor says of a set.

    Raises:
        Fault: something is wrong, and it says nothing.
    """
    found = diagnose(place, Dataset(name="x", videos=VIDEOS), None, None)
    lines = [line for stream, (head, findings) in found.items() for line in sentences(stream, findings, head)]
    wrong = [finding for _, findings in found.values() for finding in findings if finding.level == "wrong"]
    if any(not finding.message or "\n" in finding.message for finding in wrong) or not lines:
        raise Fault(UNCLEAR, repr(lines))


def compared(place: Path) -> None:
    """What is said about a set beside a whole one."""
    good = place.parent / "good"
    for name, content in whole()["ours" if any(place.rglob("*.safetensors")) else "crops"].items():
        (good / name).parent.mkdir(parents=True, exist_ok=True)
        (good / name).write_bytes(content)
    compare_sets(good, place)


whole()
