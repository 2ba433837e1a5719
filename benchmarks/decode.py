"""What `--decode fast` saves, and what it changes: no loop filter of H.264, and no frames that nobody reads and no
other refers to; to `results/decode.md`.

    python benchmarks/decode.py [--quick]      needs ten minutes of a core; the footage lies beside the project

Speed is measured on 1280x720 by processor time, in turn. The loop filter smooths the borders of blocks, and frames that
follow are made from what it leaves; so without it errors grow until the next key frame. What that does to features and
to a fit is measured with `motion` on `cctv-fights`. Reading few frames is measured as an encoder of one frame a snippet
does it, with the pass over the packets that it takes.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from video import street

from wsvad.cli.main import main as wsvad
from wsvad.datasets.open import open_dataset
from wsvad.extraction.extract import extract
from wsvad.features.store import load
from wsvad.files import write_text
from wsvad.video import packets, reader
from wsvad.video.clock import SNIPPET
from wsvad.video.writer import write_video

HERE = Path(__file__).parent
CCTV = HERE.parent.parent / "shared" / "data" / "cctv-fights"
FAST = "`fast`: no loop filter"
WAYS: dict[str, Mapping[str, str]] = {
    "`exact`": {},
    FAST: {"skip_loop_filter": "all"},
    "no loop filter in frames that no other refers to": {"skip_loop_filter": "noref"},
}
FEW = "`fast`, one frame of 16 is read"
QUALITIES = 36, 27, 23, 12
"""Of x264, from few bits to many."""
METHODS, SEEDS = ("linear", "mil"), 3


@contextmanager
def decoding(options: Mapping[str, str]) -> Iterator[None]:
    """In the block videos are decoded with such options of FFmpeg's."""
    find = reader.video_stream

    def found(*given: object) -> av.VideoStream:
        stream = find(*given)  # type: ignore[arg-type]
        stream.codec_context.options = dict(options)
        return stream

    reader.video_stream = found  # type: ignore[assignment]
    try:
        yield
    finally:
        reader.video_stream = find


def decoded(path: Path, options: Mapping[str, str]) -> tuple[float, list[np.ndarray]]:
    """Seconds of the processor, and the grey pictures of some frames."""
    kept, start = list[tuple[int, av.VideoFrame]](), time.process_time()
    with decoding(options), reader.VideoReader(path, threads=1) as video:
        for frame in video:
            if frame.index % 29 == 0:
                kept.append((frame.index, frame.picture))
    took = time.process_time() - start
    return took, [picture.to_ndarray(format="gray").astype(np.float32) for _, picture in kept]


def few(path: Path) -> tuple[float, list[np.ndarray]]:
    """Seconds of the processor for the middle frame of each snippet alone; they are those of `FAST`."""
    start = time.process_time()
    found = packets.read_packets(path)
    asked = np.arange(len(found.stamps)) % SNIPPET == SNIPPET // 2
    for _ in packets.all_of(path, found, asked, "fast"):
        pass
    return time.process_time() - start, []


def speed(folder: Path, quick: bool) -> list[str]:
    frames, repeats = (75, 1) if quick else (500, 5)
    rows = ["| Mbit/s | how | ms a frame | of `exact` | PSNR, dB |", "| ---: | --- | ---: | ---: | ---: |"]
    for quality in QUALITIES:
        path = folder / f"{quality}.mp4"
        write_video(path, street(frames, 1280, 720), 25, crf=quality)
        megabits = path.stat().st_size * 8 * 25 / frames / 1e6
        runs = [
            {how: decoded(path, options) for how, options in WAYS.items()} | {FEW: few(path)} for _ in range(repeats)
        ]
        now = statistics.median(run["`exact`"][0] for run in runs)
        for how in runs[0]:
            took = statistics.median(run[how][0] for run in runs)
            pictures, exact = runs[0][how][1], runs[0]["`exact`"][1]
            psnr = "as `fast`"
            if how != FEW:
                wrong = float(np.mean([np.square(a - b).mean() for a, b in zip(pictures, exact, strict=True)]))
                psnr = f"{10 * np.log10(255**2 / wrong):.1f}" if wrong else "the same"
            rows.append(f"| {megabits:.1f} | {how} | {1000 * took / frames:.2f} | {took / now:.0%} | {psnr} |")
    return rows


def learnt(folder: Path) -> list[str]:
    """What the features of `motion` and fits on them become."""
    videos = [(video.name, video.path) for video in open_dataset(str(CCTV), split={}).videos if video.path]
    stored, rows = {}, [f"| how | {' | '.join(METHODS)} |", f"| --- |{' ---: |' * len(METHODS)}"]
    for how in ("exact", "fast"):
        out = folder / how
        extract(videos, {"rgb": "motion"}, out, workers=0, decode=how)
        stored[how] = np.concatenate([load(path).features for path in sorted(out.rglob("*.safetensors"))])
        cells = []
        for method in METHODS:
            run = folder / f"{method}-{out.name}"
            words = [
                "train",
                str(CCTV),
                "--features",
                str(out),
                "--method",
                method,
                "--seeds",
                str(SEEDS),
                "--decode",
                how,
            ]
            assert wsvad([*words, "--out", str(run)]) in (0, None)
            auc = json.loads((run / "metrics.json").read_text())["selection"]["last"]["auc"]
            cells.append(f"{100 * auc['mean']:.2f} ± {100 * auc['std']:.2f}")
        rows.append(f"| `{how}` | {' | '.join(cells)} |")
    exact, other = stored.values()
    change = np.abs(exact - other).mean(0) / np.maximum(exact.std(0), 1e-6)
    return [
        *rows,
        f"\nA number of a feature changes by {change.mean():.3f} of its standard deviation on average, the one that "
        f"changes most by {change.max():.3f}.\n",
        CLOSING,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="to see that it runs; nothing is kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wsvad-decode-") as folder:
        rows = speed(Path(folder), given.quick)
        print("\n".join(rows), flush=True)
        if given.quick:
            return
        text = "\n".join(
            [HEAD.format(load=os.getloadavg()[0]), *rows, AFTER.format(seeds=SEEDS), *learnt(Path(folder))]
        )
    print(text)
    write_text(HERE / "results" / "decode.md", text + "\n")


HEAD = """# Faster decoding

`python benchmarks/decode.py`, by processor time on one core, load {load:.1f} at the end of the first table. A picture
with noise, 1280x720, H.264 by x264 with its usual two or three frames between those that others refer to.
"""
AFTER = """
## What it changes

`motion` on `cctv-fights`, frame AUC of the last iteration, {seeds} seeds.
"""

CLOSING = """`wsvad extract --decode fast` (and `train --decode fast`) leaves out the loop filter: 18 to 36 % less
decoding at these low bit rates, nothing at 13 Mbit/s. Frame AUC is 0.2 lower with `linear`, and within the spread of
seeds with `mil`. VP9, AV1, MJPEG and MPEG-4 have no filter that FFmpeg leaves out, and are decoded as by `exact`.
Passports say `decode: fast`, features of two ways are never mixed, and a detector scores and watches as its training
videos were decoded.

An encoder that reads few frames, as networks of images do, is also spared the frames that nobody reads and no other
refers to, half of those that x264 makes: 51 to 57 % less, 39 % at 13 Mbit/s. The clock is kept by the timestamps of
packets, and its features are the same bit by bit (`tests/unit/extraction/test_decode.py`). That is for videos whose
timestamps leave no doubt; those that are resampled (`--rate`), or longer than an hour and encoded in slices, are
decoded whole, and so are all for `motion`, which looks at each frame. Of a camera whose frames are all referred to,
as without B-frames, none is spared.

Fewer colours cannot be decoded: `lowres` and `flags=gray` change neither a pixel of H.264 nor the time in the FFmpeg
that PyAV brings. An encoder that reads luma, as `motion`, converts no colours anyway.

`--decode hardware` decodes by NVDEC, VAAPI, VideoToolbox or D3D11, whichever FFmpeg can open, and in software what
that cannot. No such hardware was at hand: nothing was timed, and `tests/gpu/test_hardware_decoding.py`, which
compares frames with those of software bit by bit, was skipped. It asks hardware only for H.264, HEVC, VP8 and VP9,
whose standards say what each pixel is, and a test shows that its form of pictures (NV12, P010) becomes the same
arrays. How a damaged picture is patched no standard says; so passports say `decode: hardware`, and a folder mixes it
with nothing. Runs take it for `exact`, and score in software. PyAV's packages for Linux know CUDA, not VAAPI; for
that one, build it against the system's FFmpeg: `pip install --no-binary av av`."""

if __name__ == "__main__":
    main()
