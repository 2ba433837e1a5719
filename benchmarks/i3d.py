"""Inception-I3D on a CPU by its runtimes: seconds a clip of 16 frames of 224, and how far features differ from eager
torch; written to `results/i3d.md`.

python benchmarks/i3d.py [--threads 1] [--quick]

Weights are random, with batch normalisation as it would be trained: as much is computed as with the public ones.
Runtimes take turns, five times; the median counts. Seconds are of processor time, which other work on the machine
disturbs less than the clock.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from wsvad.encoders.networks.i3d import I3D
from wsvad.encoders.runtime import imported

openvino = imported("openvino")
RESULTS = Path(__file__).parent / "results" / "i3d.md"
REPEATS = 5
Run = Callable[[np.ndarray], np.ndarray]


def network(clips: torch.Tensor) -> I3D:
    """I3D whose maps have mean 0 and variance 1 for these clips."""
    torch.manual_seed(0)
    model = I3D()
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm3d)]
    for part in norms:
        part.momentum = 1.0
    with torch.no_grad():
        model.train()(clips)
    return model.eval().requires_grad_(False)


def eager(model: nn.Module, **form: torch.memory_format) -> Run:
    model = model.to(**form)

    def run(clips: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(clips).to(**form)).numpy()

    return run


def by_onnxruntime(file: Path, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda clips: session.run(None, {"x": clips})[0]


def by_openvino(file: Path, threads: int, precision: str) -> Run:
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    return lambda clips: compiled([clips])[0]


def runtimes(model: nn.Module, clips: np.ndarray, threads: int, folder: Path) -> dict[str, Run]:
    file = folder / "i3d.onnx"
    with warnings.catch_warnings(action="ignore"):  # sizes become constants, and it is the older exporter
        torch.onnx.export(
            model, (torch.from_numpy(clips),), file, dynamo=False, input_names=["x"], output_names=["y"],
            dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
        )  # fmt: skip
    found = {
        "torch, eager": eager(model),
        "torch, channels_last_3d": eager(network_like(model), memory_format=torch.channels_last_3d),
        "ONNX Runtime": by_onnxruntime(file, threads),
        "OpenVINO, f32": by_openvino(file, threads, "f32"),
        "OpenVINO, bf16": by_openvino(file, threads, "bf16"),
    }
    try:
        compiled = eager(torch.compile(model))
        compiled(clips)
        found["torch.compile"] = compiled
    except Exception as error:  # it needs a compiler
        print("torch.compile:", str(error).splitlines()[0], file=sys.stderr)
    return found


def network_like(model: nn.Module) -> nn.Module:
    other = I3D().eval().requires_grad_(False)
    other.load_state_dict(model.state_dict())
    return other


def rows(threads: int, quick: bool) -> list[tuple[str, float, float, float]]:
    """Runtime, seconds a clip, how often faster than eager, and the difference of features relative to their size."""
    torch.set_num_threads(threads)
    side = 64 if quick else 224
    clips = np.random.default_rng(0).uniform(-1, 1, (2, 3, 16, side, side)).astype(np.float32)
    model = network(torch.from_numpy(clips))
    seconds: dict[str, list[float]] = {}
    features: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = runtimes(model, clips, threads, Path(folder))
        for name, run in runs.items():
            features[name] = run(clips)
        for _ in range(1 if quick else REPEATS):
            for name, run in runs.items():
                start = time.process_time()
                run(clips)
                seconds.setdefault(name, []).append((time.process_time() - start) / len(clips))
    wanted = features["torch, eager"]
    slow = statistics.median(seconds["torch, eager"])
    return [
        (
            name,
            (median := statistics.median(taken)),
            slow / median,
            float(np.linalg.norm(features[name] - wanted) / np.linalg.norm(wanted)),
        )
        for name, taken in seconds.items()
    ]


def report(table: list[tuple[str, float, float, float]], threads: int) -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.machine()
    )
    lines = [
        "# Inception-I3D on a CPU",
        "",
        f"`python benchmarks/i3d.py --threads {threads}`: clips of 16 frames of 224, {threads} thread(s), {cpu}, torch "
        f"{torch.__version__}, onnxruntime {onnxruntime.__version__}, OpenVINO {openvino.__version__.split('-')[0]}.",
        "Processor seconds, the median of five turns; features differ by the norm of the difference over the norm.",
        "Weights are random. CenterNet, which is trained and at hand, differs by 10 % in bf16, so it is not offered.",
        "",
        "| runtime | s / clip | times eager | features differ by |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {taken:.3f} | {faster:.2f} | {differs:.1e} |" for name, taken, faster, differs in table),
    ]
    return "\n".join(lines) + "\n"


def _cpu_lines() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small clips once, to see that it runs; nothing is kept")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(options.threads))
    text = report(rows(options.threads, options.quick), options.threads)
    print(text)
    if not options.quick:
        RESULTS.write_text(text, encoding="utf-8")
