"""What `score` keeps beside its results (`OUT/scored`): scores, how far a video was encoded, notes of overlays and
clips. Whatever is damaged, the results are those of the whole ones, or the video is scored again."""

import atexit
import json
import random
import shutil
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from clips import scene, write_clip
from safetensors.numpy import load as deserialise
from safetensors.numpy import save as serialise

from fuzz.harness import INTERNAL, NOTHING, Case, Fault, command, kind
from fuzz.mutate import as_json, damage_bytes, damage_json, damaged_value, replace
from fuzz.run import save_run
from wsvad.detection.kept import Kept, Stamp
from wsvad.encoders import build
from wsvad.extraction.encode import Part, encode_video
from wsvad.runs.sealed import SEAL, digest_of, sealed

FRAMES, THRESHOLD = 48, "0.3"
NAMES = ("a.mp4", "b.mp4")
RESULTS = ("scores.json", "events.csv", "scores.csv", "left-out.csv")
OTHER = "others/kept.mp4"
"""A clip of ours that lies elsewhere."""


@cache
def whole() -> dict[str, Any]:
    """Videos, a run, and a folder of results of each use: what it keeps and what it says."""
    folder = Path(tempfile.mkdtemp(prefix="wsvad-fuzz-kept-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "videos").mkdir()
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(number)
        write_clip(folder / "videos" / name, [scene(index, bool(number), rng) for index in range(FRAMES)], crf="35")
    (folder / "run").mkdir()
    save_run(folder / "run", folder / "videos" / "a.mp4")
    command(score(folder, folder / "out"))
    kept, video = Kept(folder / "out", folder / "run", "whole"), folder / "videos" / "b.mp4"
    shutil.copytree(folder / "out", folder / "part")
    Kept(folder / "part", folder / "run", "whole").path("b.mp4").unlink()
    rows = encode_video(video, {"rgb": build("motion")})["rgb"].features[:2]
    part = Kept(folder / "part", folder / "run", "whole")
    part.write_part("b.mp4", Stamp.of(video), Part({"rgb": list(rows)}))
    assert part.read_part("b.mp4", Stamp.of(video), {"rgb": rows.shape[1:]}).snippets == 2
    assert kept.read("b.mp4", video) is not None
    found = says(folder / "out")
    assert json.loads(found["scores.json"])["videos"][1]["events"]
    return {"folder": folder, "says": found}


def score(folder: Path, out: Path) -> list[str]:
    return [
        "score", str(folder / "videos"), "--model", str(folder / "run"), "--out", str(out), "--threshold", THRESHOLD,
        "--between", "00:00-12:00", "--clips",
    ]  # fmt: skip


def says(out: Path) -> dict[str, str]:
    return {name: (out / name).read_text() for name in RESULTS}


@kind("kept scores", prepare=whole)
def kept_scores(rng: random.Random, folder: Path) -> Case:
    out = folder / "out"
    made = whole()["folder"]
    shutil.copytree(made / rng.choice(("out", "out", "part")), out)
    (folder / "others").mkdir()
    shutil.copy(next((out / "clips").glob("*.mp4")), folder / OTHER)
    path = rng.choice(sorted((out / "scored").iterdir()))
    knows = False
    if rng.random() < 0.1:
        replace(rng, path)
    elif path.suffix == ".json" and rng.random() < 0.9:
        damage_note(rng, path)
    elif path.suffix == ".json" or rng.random() < 0.3:
        damage_bytes(rng, path)
    else:
        knows = rng.random() < 0.5
        damage_kept(rng, path, knows)

    def case() -> None:
        command(score(made, out))
        if not (folder / OTHER).exists():
            raise Fault(INTERNAL, f"{path.name}: a clip of another folder was removed")
        found = says(out)
        if not knows and found != whole()["says"]:
            wrong = next(name for name in RESULTS if found[name] != whole()["says"][name])
            raise Fault(NOTHING, f"{path.name}: {wrong} is another one")
        if len(list((out / "clips").glob("*.mp4"))) < json.loads(found["scores.json"])["videos"][1]["events"].__len__():
            raise Fault(INTERNAL, f"{path.name}: a clip is missing")

    return case


def damage_note(rng: random.Random, path: Path) -> None:
    """Another value, or clips that are none of the video's."""
    if rng.random() < 0.7:
        damage_json(rng, path)
        return
    note = json.loads(path.read_text())
    other = rng.choice((f"../../{OTHER}", str(path.parent.parent.parent / OTHER), "..", ".", "x\0", "a" * 5000, "/"))
    note["clips"] = {other: rng.choice(([], [0, 1], [1e308, 0]))} | (note["clips"] if rng.random() < 0.5 else {})
    path.write_text(json.dumps(note))


def damage_kept(rng: random.Random, path: Path, knows: bool) -> None:
    """Another record or other numbers; with hashes that are right, where somebody knows them."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    about = json.loads(content[8 : 8 + size])["__metadata__"]
    tensors = dict(deserialise(content))
    key = "record" if "record" in about else "made"
    record = json.loads(about[key])
    if rng.random() < 0.5:
        name = rng.choice(sorted(tensors))
        one = tensors[name]
        if rng.random() < 0.5:
            changed = one.copy()
            changed.flat[rng.randrange(changed.size)] = rng.choice((np.nan, np.inf, 0, 1, -1, 1e-30, 1e9, 0.5))
            tensors[name] = changed
        else:
            tensors[name] = rng.choice(
                (one[:0], one[:1], one[None], one.ravel()[:1].reshape(()), one.astype(np.int64), one.astype(np.float16),
                 one > 0, one * 0, one * np.float32(1e9), one[::-1].copy(), np.concatenate([one, one]))
            )  # fmt: skip
        if rng.random() < 0.2:
            tensors[rng.choice(("class_scores", "shift", "embeddings", "attributions.x", "attributions.", "y"))] = one
    else:
        record = damaged_value(rng, record)
    if knows and isinstance(record, dict):
        record = record | ({"tensors": digest_of(tensors)} if "tensors" in record else {})
        record = sealed(json.loads(as_json(record))) if SEAL in record and plain(record) else record
    about |= {key: as_json(record).encode("utf-8", "replace").decode()}
    if key == "made" and rng.random() < 0.2:
        about["tensors"] = rng.choice(("", "x", "0" * 64))
    elif key == "made" and knows:
        about["tensors"] = digest_of(tensors)
    path.write_bytes(serialise(tensors, metadata=about))


def plain(record: Any) -> bool:
    """Whether JSON can hold it."""
    try:
        return bool(json.loads(as_json(record)))
    except (ValueError, RecursionError):
        return False
