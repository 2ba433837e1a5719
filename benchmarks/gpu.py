"""What a GPU does here: clips per second of I3D and CLIP B/16, how long it waits for frames, a fit of UR-DMU.

    python benchmarks/gpu.py [--device cuda] [--videos 24] [--quick]

Weights are random, of the published shapes; videos are written for it (640x360, H.264, 30 frames per second). Results
go to `results/gpu.md`, with the name of the card.
"""

import argparse
import platform
import tempfile
import time
from collections import deque
from pathlib import Path

import numpy as np
import torch

from wsvad.device import device_of, name_of
from wsvad.encoders.encoder import Encoder, OnDevice
from wsvad.encoders.hf.encoder import Hf
from wsvad.extraction.device import Owner
from wsvad.extraction.jobs import Extraction, Finished, Job
from wsvad.extraction.workers import in_processes, processors
from wsvad.features.store import Passport, StoredFeatures, feature_path, save

RESULTS = Path(__file__).parent / "results" / "gpu.md"
BATCH, REPEATS = 32, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--videos", type=int, default=24)
    parser.add_argument("--quick", action="store_true", help="tiny numbers, to see that it runs")
    given = parser.parse_args()
    device = device_of(given.device)
    lines = [
        f"# On a GPU\n\n{name_of(device)}; {processors()} cores of {platform.processor() or platform.machine()}.\n"
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        specs = {"I3D": i3d(folder), "CLIP B/16": clip(folder, tiny=given.quick)}
        videos = written(folder / "videos", 2 if given.quick else given.videos, 3 if given.quick else 60)
        lines.append("| network | clips/s, network alone | clips/s, from videos | the device works | decoders |\n")
        lines.append("|---|---:|---:|---:|---:|\n")
        for name, spec in specs.items():
            alone = clips_alone(spec, device, *((1, 1) if given.quick else (REPEATS, BATCH)))
            whole, busy = clips_from_videos(spec, videos, folder / name.replace("/", ""), device)
            lines.append(f"| {name} | {alone:,.0f} | {whole:,.0f} | {busy:.0%} | {processors()} |\n")
            print(lines[-1], end="", flush=True)
        iterations = 30 if given.quick else 3000
        seconds = fit(folder / "ucf", device, iterations, tiny=given.quick)
    said = "on random features of UCF-Crime's size (1,900 videos, 1,024 wide, one crop), evaluations included"
    lines.append(f"\nUR-DMU, {iterations:,} iterations {said}: {seconds:,.0f} s.\n")
    print(lines[-1])
    if not given.quick:
        RESULTS.write_text("".join(lines))


def i3d(folder: Path) -> str:
    from safetensors.torch import save_file

    from wsvad.encoders.networks import i3d as network

    torch.manual_seed(0)
    names = network.SCHEMES[0]
    path = folder / "i3d.safetensors"
    save_file({names.name(ours): tensor for ours, tensor in network.I3D().state_dict().items()}, path)
    return f"i3d:{path}"


def clip(folder: Path, *, tiny: bool) -> str:
    """The published shape of CLIP B/16, of random numbers."""
    import json

    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPVisionConfig(patch_size=16, **(small if tiny else {"num_hidden_layers": 12}))
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "clip", safe_serialization=True)
    processor = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224},
                 "crop_size": {"height": 224, "width": 224}}  # fmt: skip
    (folder / "clip" / "preprocessor_config.json").write_text(json.dumps(processor))
    return f"hf:{folder / 'clip'}"


def written(folder: Path, count: int, seconds: int) -> list[tuple[str, Path]]:
    import av

    folder.mkdir()
    rng = np.random.default_rng(0)
    first = folder / "0.mp4"
    with av.open(str(first), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        noise = rng.integers(0, 60, (360, 640, 3), np.uint8)
        for index in range(30 * seconds):
            picture = noise.copy()
            x = 4 * index % 560
            picture[120:260, x : x + 60] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    for number in range(1, count):
        (folder / f"{number}.mp4").hardlink_to(first)
    return [(path.name, path) for path in sorted(folder.iterdir())]


def built(spec: str) -> Encoder:
    from wsvad.encoders import build

    return build(spec)[0]


def clips_alone(spec: str, device: str, repeats: int, batch: int) -> float:
    """Snippets a second of the network, frames ready in memory."""
    encoder = built(spec)
    assert isinstance(encoder, OnDevice)
    encoder.to(torch.device(device))
    width, height = (224, 224) if isinstance(encoder, Hf) else (340, 256)
    snippet = np.random.default_rng(0).integers(0, 256, (encoder.sampling.count, height, width, 3), np.uint8)
    encoder.encode([snippet] * batch)
    started = time.perf_counter()
    for _ in range(repeats):
        encoder.encode([snippet] * batch)
    return repeats * batch / (time.perf_counter() - started)


def clips_from_videos(spec: str, videos: list[tuple[str, Path]], out: Path, device: str) -> tuple[float, float]:
    """Snippets a second of an extraction, and the share of its time in which the device worked; from the first answer
    on, start-up apart."""
    extraction = Extraction(streams={"rgb": spec}, out=out, builder="wsvad.encoders:build")
    owner = Owner(extraction.parts(), device)
    jobs = [Job(video=name, path=path, streams=("rgb",), size=path.stat().st_size) for name, path in videos]
    frames, started = 0, None
    for event in in_processes(deque(jobs), extraction, processors(), owner):
        if started is None and owner.busy:
            started, before = time.perf_counter(), owner.busy
        if isinstance(event, Finished):
            assert event.reason is None, event.reason
            frames += event.frames
    took = time.perf_counter() - (started or 0.0)
    return frames / 16 / took, (owner.busy - before) / took


def fit(folder: Path, device: str, iterations: int, *, tiny: bool) -> float:
    """Seconds of a fit of UR-DMU under its paper's protocol, evaluations included, on features of UCF-Crime's size."""
    from wsvad.datasets.open import open_dataset
    from wsvad.methods.ur_dmu import UrDmuConfig
    from wsvad.training.experiment import Experiment
    from wsvad.training.protocol import Protocol

    like_ucf_crime(folder, share=0.02 if tiny else 1.0)
    experiment = Experiment(
        dataset=open_dataset(folder), features=folder / "features", name="ur-dmu", config=UrDmuConfig(),
        protocol=Protocol(budget="paper", iterations=iterations, device=device), out=folder / "run",
    )  # fmt: skip
    started = time.perf_counter()
    experiment.run()
    return time.perf_counter() - started


def like_ucf_crime(folder: Path, share: float) -> None:
    """1,610 training and 290 test videos of some 450 snippets, one crop, random numbers of 1,024 a snippet; those of
    abnormal videos are shifted in a tenth of the snippets."""
    rng, rows, intervals = np.random.default_rng(0), [], []
    for split, counts in (("train", (800, 810)), ("test", (150, 140))):
        for label, count in enumerate(counts):
            for number in range(max(2, round(share * count))):
                name, snippets = f"{split}-{label}-{number}.mp4", int(rng.integers(50, 850))
                features = rng.standard_normal((snippets, 1024), dtype=np.float32)
                first, last = snippets // 2, snippets // 2 + snippets // 10
                if label:
                    features[first:last, :64] += 1.0
                    intervals.append(f"{name},abnormal,{16 * first},{16 * last}")
                passport = Passport(encoder="random", width=1024, frames=16 * snippets)
                stored = StoredFeatures(features=features.astype(np.float16), passport=passport)
                save(feature_path(folder / "features", "rgb", name), stored)
                rows.append(f"{name},{label},,{split},{16 * snippets}")
    (folder / "labels.csv").write_text("\n".join(["video,label,category,split,frames", *rows]))
    kept = [row for row in intervals if row.startswith("test")]
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *kept]))


if __name__ == "__main__":
    main()
