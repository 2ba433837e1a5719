"""Videos in the containers that people have, through the reader and a detector."""

import random
from functools import cache
from pathlib import Path

from clips import write_clip

from fuzz.harness import Case, kind
from fuzz.mutate import damaged_bytes, replace
from wsvad.encoders import build
from wsvad.extraction.encode import encode_video

ENDINGS = (".mp4", ".mkv", ".avi", ".ts", ".mov", ".webm", ".flv")


@cache
def whole() -> dict[str, bytes]:
    """Ending → the bytes of a short clip."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        found = {}
        for ending in ENDINGS:
            codec = {".webm": "libvpx", ".avi": "mpeg4"}.get(ending, "libx264")
            found[ending] = write_clip(Path(name) / f"clip{ending}", 40, size=(64, 48), codec=codec).read_bytes()
    return found


@kind("videos", prepare=whole)
def videos(rng: random.Random, folder: Path) -> Case:
    ending = rng.choice(ENDINGS)
    path = folder / f"clip{ending}"
    path.write_bytes(damaged_bytes(rng, whole()[ending]))
    if rng.random() < 0.05:
        replace(rng, path)
    return lambda: encode_video(path, {"rgb": build("motion")})
