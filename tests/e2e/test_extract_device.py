"""Extraction on a device, played by an encoder that says that it is on one: its network is in this process, and others
decode. The files are those of an extraction without."""

import errno
import logging
import os
import signal
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe, shared_memory
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import Means, OnDevice, write_clip
from torch import nn

from wsvad.encoders.torch_network import TorchNetwork
from wsvad.errors import SHORT, Interrupted, UsageError, WsvadError, shortage
from wsvad.extraction.device import Owner, Served
from wsvad.extraction.encode import encode_video
from wsvad.extraction.extract import extract
from wsvad.extraction.jobs import Extraction, Job
from wsvad.extraction.snippets import Batches
from wsvad.extraction.workers import _Worker
from wsvad.video.reader import VideoReader

BUILDER = "clips:build"


@pytest.fixture
def videos(tmp_path):
    """Of 5 to 41 frames, and one of 700, which are several batches."""
    (tmp_path / "videos").mkdir()
    counts = {"a.mp4": 5, "b.mp4": 29, "c.mp4": 41, "long.mp4": 700}
    return [(name, write_clip(tmp_path / "videos" / name, count)) for name, count in counts.items()]


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr("wsvad.extraction.engines.device_of", lambda device: device)
    OnDevice.seen.clear()
    return "meta"


def hostile(tmp_path):
    """A video whose frame 29 is what an encoder stumbles over."""
    return "hostile.mp4", write_clip(tmp_path / "videos" / "hostile.mp4", 1, first=29)


def placed():
    encoder = OnDevice("device")
    encoder.to("meta")
    return encoder


def written(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")}


@pytest.mark.parametrize("workers", [0, 3])
def test_the_files_are_those_of_an_extraction_without_a_device(videos, device, tmp_path, workers):
    streams = {"rgb": "device", "flow": "means:4"}
    assert not extract(videos, {"rgb": "means", "flow": "means:4"}, tmp_path / "cpu", builder=BUILDER).failed
    report = extract(videos, streams, tmp_path / "device", builder=BUILDER, workers=workers, device=device)
    assert report.done == 4 and not report.failed
    assert written(tmp_path / "device") == written(tmp_path / "cpu")
    assert len(written(tmp_path / "cpu")) == 8
    assert {process for process, _ in OnDevice.seen} == {os.getpid()}
    # Two full batches of the long video at least; those of several videos may have gone together.
    assert max(count for _, count in OnDevice.seen) >= 16 and sum(count for _, count in OnDevice.seen) == 1 + 2 + 3 + 44


def test_what_a_network_says_of_one_video_costs_that_video(videos, device, tmp_path):
    some = [*videos, hostile(tmp_path)]
    report = extract(some, {"rgb": "device-bug"}, tmp_path / "out", builder=BUILDER, workers=5, device=device)
    said = f"{some[-1][1]}: encoder device-bug: IndexError: list index out of range"
    assert report.failed == {"hostile.mp4": said}
    assert report.done == 4


def test_a_device_on_which_nothing_runs_is_not_spoken_of(videos, device, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for spec in ("means", "device"):
        extract(videos[:1], {"rgb": spec}, tmp_path / spec, builder=BUILDER, workers=0, device=device)
        assert ("encoding on meta" in caplog.text) == (spec == "device")


def test_a_device_that_is_not_there_is_an_error_before_any_work(tmp_path):
    with pytest.raises(UsageError, match="device cuda:99: not a device of this machine"):
        extract([("a.mp4", tmp_path / "a.mp4")], {"rgb": "onnx:nowhere.onnx"}, tmp_path / "out", device="cuda:99")


def test_ctrl_c_is_no_error_of_a_video(videos, device, tmp_path, monkeypatch):
    def interrupted(self, snippets):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise RuntimeError("of a library")  # noqa: B904 as libraries do

    monkeypatch.setattr(OnDevice, "encode", interrupted)
    with pytest.raises(Interrupted, match="0 of 4 videos are finished"):
        extract(videos, {"rgb": "device"}, tmp_path / "out", builder=BUILDER, workers=1, device=device)


def test_too_little_memory_for_a_network_is_not_told_as_damage(videos, device, tmp_path):
    some = [*videos, hostile(tmp_path)]
    report = extract(some, {"rgb": "device-short"}, tmp_path / "out", builder=BUILDER, workers=2, device=device)
    assert report.failed == {"hostile.mp4": f"{some[-1][1]}: encoder device-short: {SHORT['memory']}"}


def test_a_crash_while_decoding_costs_one_video_and_no_shared_memory(videos, device, tmp_path, monkeypatch):
    blocks = []
    made = shared_memory.SharedMemory.__init__
    monkeypatch.setattr(
        shared_memory.SharedMemory, "__init__", lambda self, *a, **k: (made(self, *a, **k), blocks.append(self.name))[0]
    )
    streams = {"rgb": "device", "flow": "means-crash"}
    report = extract([*videos, hostile(tmp_path)], streams, tmp_path / "out", builder=BUILDER, workers=2, device=device)
    assert set(report.failed) == {"hostile.mp4"} and report.done == 4
    assert signal.SIGSEGV.name in report.failed["hostile.mp4"]
    for block in set(blocks):
        with pytest.raises(FileNotFoundError):
            made(object.__new__(shared_memory.SharedMemory), name=block)


def test_shared_memory_that_nobody_was_told_of_goes_with_its_process(tmp_path):
    """A process may be killed between making a block and saying so."""
    encoder = placed()
    owner = Owner({"device": [encoder]}, "meta")
    worker = _Worker(Extraction(streams={"rgb": "device"}, out=tmp_path, builder=BUILDER), owner.served)
    worker.job = Job(video="a.mp4", path=tmp_path / "a.mp4", streams=("rgb",), size=1)
    (name,) = worker.blocks.values()
    SharedMemory(name, create=True, size=100).close()
    worker.process.kill()
    assert "was killed by SIGKILL" in (worker.crashed().reason or "")
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


@pytest.fixture
def full(monkeypatch):
    """Shared memory without room. Without this check a process that writes into it is ended by SIGBUS."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("no shared memory that is a file system")

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)


def test_without_room_in_shared_memory_snippets_go_another_way(full, caplog):
    owner, rng = Owner({"device": [encoder := placed()]}, "meta"), np.random.default_rng(0)
    theirs, ours = Pipe()
    served = Served(owner.served["device", 0], 0, theirs, "wsvad-without-room")
    snippets = [rng.integers(0, 256, (2, 12, 16, 3), np.uint8) for _ in range(3)]
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            found = pool.submit(served.encode, snippets)
            owner.answer([ours])
            np.testing.assert_array_equal(found.result(), encoder.encode(snippets))
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["shared memory (/dev/shm) is full"]
    with pytest.raises(FileNotFoundError):
        SharedMemory("wsvad-without-room")


def test_what_an_owner_cannot_open_is_told_to_who_asks():
    owner = Owner({"device": [placed()]}, "meta")
    theirs, ours = Pipe()
    served = Served(owner.served["device", 0], 0, theirs, f"wsvad-{os.getpid()}")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(served.encode, [np.zeros((2, 12, 16, 3), np.uint8)])
        assert ours.poll(10)
        served.close()  # as a process does that ends
        owner.answer([ours])
        with pytest.raises(WsvadError, match="encoder device: FileNotFoundError"):
            found.result()


class Held(Means):
    """Counts the bytes that wait for it, or that it works on."""

    def __init__(self):
        super().__init__()
        self.pushed, self.done, self.most, self.batches = 0, 0, 0, []

    def encode(self, snippets):
        time.sleep(0.01)
        self.batches.append(len(snippets))
        self.most = max(self.most, self.pushed - self.done)
        self.done += len(snippets)
        return super().encode(snippets)


@pytest.mark.parametrize(("room", "batch", "most"), [(10**9, 16, 64), (3000, 3, 12), (100, 1, 2)])
def test_large_pictures_go_in_small_batches(tmp_path, monkeypatch, room, batch, most):
    """A snippet has 2·16·12·3 = 1,152 bytes here; what is held is a few batches of at least `room` bytes."""
    monkeypatch.setattr("wsvad.extraction.snippets.BYTES", room)
    monkeypatch.setattr("wsvad.extraction.snippets.WAITING_BYTES", 2 * room)
    encoder = Held()
    with VideoReader(write_clip(tmp_path / "a.mp4", 16 * 100)) as video, Batches({"rgb": (encoder,)}, 16) as batches:
        rows = []
        for frame in video:
            encoder.pushed += frame.index % 16 == 15
            rows += batches.push(frame)
        rows += batches.flush()
    assert len(rows) == 100 == sum(encoder.batches)
    assert set(encoder.batches[:-1]) == {batch} and encoder.most <= most


class Sum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


class Frugal(nn.Module):
    """The mean of each picture, on a device that holds `most` of them."""

    def __init__(self, most: int, error: Exception | None = None):
        super().__init__()
        self.most, self.seen, self.error = most, [], error or torch.OutOfMemoryError("CUDA out of memory")
        self.inner = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise self.error
        return self.inner(x.flatten(1).mean(1, keepdim=True))


@pytest.fixture
def elsewhere(monkeypatch):
    """A device that is not the CPU, and computes as it does."""
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *a, **k: self)
    return torch.device("meta")


WORDS_FOR_TOO_LITTLE = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", WORDS_FOR_TOO_LITTLE, ids=lambda error: str(error)[:12])
def test_a_batch_is_halved_until_the_device_holds_it(elsewhere, error):
    module, rng = Frugal(6, error), np.random.default_rng(0)
    network = TorchNetwork(module, lambda x: x.float(), at_once=16)
    network.device = elsewhere
    snippets = [rng.integers(0, 256, (2, 3, 4, 3), np.uint8) for _ in range(20)]
    found = network(snippets)
    assert module.seen == [32, 16, 8, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    for one, snippet in zip(found, snippets, strict=True):
        np.testing.assert_allclose(one[:, 0], snippet.reshape(2, -1).mean(1), rtol=1e-6)
    module.most = 1
    with pytest.raises(type(error)) as raised:
        network(snippets)
    assert shortage(raised.value) == SHORT["gpu"]


def test_another_error_is_not_taken_for_too_little_memory(elsewhere):
    module = Frugal(6, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    network = TorchNetwork(module, lambda x: x.float(), at_once=16)
    network.device = elsewhere
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        network([np.zeros((2, 3, 4, 3), np.uint8)] * 8)
    assert module.seen == [16]


def test_snippets_of_one_size_are_joined_whatever_comes_between(elsewhere):
    sizes = [(2, 3, 4, 3)] * 3 + [(2, 5, 4, 3)] * 2 + [(2, 3, 4, 3)]
    snippets = [np.full(size, n, np.uint8) for n, size in enumerate(sizes)]
    network = TorchNetwork(module := Frugal(100), lambda x: x.float())
    network.device = elsewhere
    assert [float(one.mean()) for one in network(snippets)] == [0, 1, 2, 3, 4, 5]
    assert module.seen == [6, 4, 2]


def test_what_was_tapped_is_not_held(elsewhere):
    network = TorchNetwork(module := Frugal(100), lambda x: x.float(), tap="inner")
    network.device = elsewhere
    kept = []
    module.inner.register_forward_hook(lambda module, inputs, output: kept.append(weakref.ref(output)))
    network([np.zeros((2, 3, 4, 3), np.uint8)])
    assert len(kept) == 1 and kept[0]() is None


def test_a_tap_is_any_part_by_its_name():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Tanh(), nn.Linear(5, 2))
    picture = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    (whole,) = TorchNetwork(module, lambda x: x.float())([picture])
    (tapped,) = TorchNetwork(module, lambda x: x.float(), tap="1")([picture])
    expected = module[1](torch.from_numpy(picture).float().flatten(1)).numpy()
    np.testing.assert_allclose(tapped, expected, rtol=1e-6)
    assert whole.shape == (1, 2)
    with pytest.raises(UsageError, match=r"tap '4': the network has no such part; near ones are .*3"):
        TorchNetwork(module, lambda x: x, tap="4")
    with pytest.raises(WsvadError, match="has not one part for each snippet"):
        TorchNetwork(Sum(), lambda x: x.float())([picture])


def test_many_at_once_and_one_at_a_time_are_the_same(tmp_path):
    path, encoder = write_clip(tmp_path / "clip.mp4", 200), OnDevice("device")
    encoder.to("meta")
    reported = []
    whole = encode_video(path, {"rgb": (encoder,)}, reported.append, at_once=5)["rgb"]
    single = encode_video(path, {"rgb": (encoder,)})["rgb"]
    np.testing.assert_array_equal(whole.features, single.features)
    assert sum(reported) == 200


class TwoCrops(OnDevice):
    crops = 2

    def encode(self, snippets):
        return np.stack([super().encode(snippets), 1 + super().encode(snippets)], axis=1)


def test_crops_are_kept_apart(tmp_path):
    path, encoder = write_clip(tmp_path / "clip.mp4", 40), TwoCrops("device")
    encoder.to("meta")
    stored = encode_video(path, {"rgb": (encoder,)})["rgb"]
    assert stored.features.shape == (2, 3, 2)
    np.testing.assert_array_equal(stored.features[1], stored.features[0] + 1)


def test_different_numbers_of_crops_are_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("clips.OnDevice.crops", 2, raising=False)
    extraction = Extraction(streams={"rgb": "device+means"}, out=tmp_path, builder=BUILDER)
    with pytest.raises(UsageError, match=r"see different numbers of crops \(device: 2, means: 1\); set one for all"):
        extraction.joined(extraction.parts())
