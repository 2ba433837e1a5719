"""Videos in every container that people have: something moves in them, and the fifth second sounds."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from clips import scene

RATE, SECONDS, SOUND = 25, 8, 8_000
B_FRAMES = {"preset": "medium", "bf": "2", "g": "25"}
FORMS: dict[str, tuple[str, str, str | None, dict[str, str], bool]] = {
    # name: codec, pixels, sound, options, whether its pictures can be copied
    "plain.mp4": ("libx264", "yuv420p", "aac", {"g": "25"}, True),
    "b-frames.mp4": ("libx264", "yuv420p", "aac", B_FRAMES, True),
    "b-frames.mkv": ("libx264", "yuv420p", "libopus", B_FRAMES, True),
    "b-frames.ts": ("libx264", "yuv420p", "aac", B_FRAMES, True),
    "open.ts": ("libx264", "yuv420p", "aac", B_FRAMES | {"x264-params": "open-gop=1"}, True),
    "b-frames.flv": ("libx264", "yuv420p", "aac", B_FRAMES, True),
    "vp9.webm": ("libvpx-vp9", "yuv420p", "libopus", {"g": "25", "cpu-used": "8", "deadline": "realtime"}, True),
    "vp8.webm": ("libvpx", "yuv420p", "libopus", {"g": "25", "cpu-used": "8", "deadline": "realtime"}, False),
    "b-frames.avi": ("libx264", "yuv420p", "mp3", B_FRAMES, False),
    "mpeg4.avi": ("mpeg4", "yuv420p", "pcm_s16le", {"g": "25", "q": "2"}, False),
    "photos.avi": ("mjpeg", "yuvj420p", None, {}, False),
    "recorder.mov": ("libx264", "yuv420p", "pcm_alaw", {"g": "25"}, True),
    "full-colour.mp4": ("libx264", "yuv444p", None, {"g": "25"}, False),
    "program.mpg": ("mpeg2video", "yuv420p", "mp2", {"g": "25", "q": "2"}, False),
    "one-key-frame.mp4": ("libx264", "yuv420p", None, {"g": "1000"}, True),
}


def make(path: Path) -> Path:
    """Write the video that has this name."""
    codec, pixels, sound, options, _ = FORMS[path.name]
    rng = np.random.default_rng(0)
    ground = scene(0, False, rng)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options={"crf": "10", "preset": "ultrafast"} | options)
        stream.height, stream.width, stream.pix_fmt = 96, 128, pixels
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.codec_context.thread_count = 1
        rate = 48_000 if sound in ("libopus", "aac", "mp3", "mp2") else SOUND
        voice = container.add_stream(sound, rate=rate, layout="mono") if sound else None
        resampler = av.AudioResampler(voice.format.name, "mono", rate, voice.frame_size or None) if voice else None
        for index in range(RATE * SECONDS):
            image = ground.copy()
            image[20:60, index % 100 : index % 100 + 20] = 80 + index % 160
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
            if voice and resampler and index % RATE == 0:
                tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * (index == 5 * RATE)
                heard = av.AudioFrame.from_ndarray((tone * 32767).astype(np.int16)[None], "s16", "mono")
                heard.rate, heard.pts = rate, index // RATE * rate
                for ready in resampler.resample(heard):
                    container.mux(voice.encode(ready))
        container.mux(stream.encode(None))
        if voice and resampler:
            for ready in resampler.resample(None):
                container.mux(voice.encode(ready))
            container.mux(voice.encode(None))
    return path
