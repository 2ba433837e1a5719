"""Run folders: whatever is damaged, the run gives the scores and numbers of the whole one, or is refused."""

import atexit
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from fuzz.harness import NOTHING, Case, Fault, command, kind
from fuzz.mutate import damage_bytes, damage_json, damage_yaml, replace
from wsvad.detection.calibration import NormalScores, recalibrated
from wsvad.detection.detector import Detector
from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.files import sha256
from wsvad.methods.dakd import DakdConfig
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import load_method
from wsvad.runs.sealed import sealed
from wsvad.training.distill import lesson_of

WIDTH, SNIPPETS = 4, 24
VIDEO = np.random.default_rng(9).normal(size=(SNIPPETS, WIDTH)).astype(np.float32)
"""Features of a video in which something happens."""
VIDEO[8:14, 0] += 6


@cache
def whole() -> dict[str, Any]:
    """A finished run, and what each use of it says."""
    folder = Path(tempfile.mkdtemp(prefix="wsvad-fuzz-whole-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rows = []
    for number in range(12):
        x = np.random.default_rng(number).normal(size=(SNIPPETS, WIDTH)).astype(np.float32)
        x[8:14, 0] += 6 * (number % 2)
        passport = Passport(encoder="test", width=WIDTH, frames=16 * SNIPPETS, frame_rate="30", source=str(number))
        path = feature_path(folder / "features", "rgb", f"v{number}.mp4")
        save(path, StoredFeatures(features=x, passport=passport, times=np.arange(SNIPPETS + 1) * 16 / 30))
        split = "test" if number > 7 else "train"
        rows.append(f"v{number}.mp4,{number % 2},{split},{16 * SNIPPETS}")
    (folder / "labels.csv").write_text("video,label,split,frames\n" + "\n".join(rows))
    (folder / "intervals.csv").write_text(
        "video,category,start_frame,end_frame\n" + "".join(f"v{n}.mp4,x,128,224\n" for n in (9, 11))
    )
    run = folder / "run"
    command(fit(folder, run))
    calibrate(run)
    said = {}
    for name, use in uses(folder).items():
        shutil.copytree(run, folder / name)  # one of them writes there
        said[name] = use(folder / name)
    assert all(events for _, events, _ in (*said["scored"], *said["budget"]))
    return {"folder": folder, "run": run} | said


def fit(folder: Path, run: Path) -> list[str]:
    quick = ["--iterations", "150", "--points", "2", "--segments", "8", "--bags", "2", "--config.hidden", "[8,4]"]
    data = [str(folder), "--features", str(folder / "features")]
    return ["fit", *data, "--method", "mil", "--hold-out", "0.5", *quick, "--out", str(run)]


def calibrate(run: Path) -> None:
    """Give the run thresholds and what another budget needs, as `train` does."""
    folder = RunFolder(run)
    times = np.arange(SNIPPETS + 1) * 16 / 30
    normal = folder.seed(0).read("selection")["normal"]
    curves = {mode: [(n, np.array(s), times) for n, s in each.items()] for mode, each in normal.items()}
    record, trained = NormalScores(fits=1, curves=curves).as_dict(), load_method(run)
    (run / "calibration.json").write_text(json.dumps(record))
    trained.calibration = recalibrated(folder, EventRules(), 1.0).as_dict()
    metrics, log = folder.read_metrics(), [(run / "log.jsonl").read_text()]
    folder.finish(trained, metrics=metrics, log=log, calibration=record)


def uses(folder: Path) -> dict[str, Callable[[Path], Any]]:
    """What is done with a run, by name."""

    def scored(run: Path) -> Any:
        return says(Detector.load(run))

    def budget(run: Path) -> Any:
        return says(Detector.load(run, max_false_alarms_per_hour=1e4))

    def remembered(run: Path) -> Any:
        one = RunFolder(run)
        metrics, results = one.read_metrics(), [one.seed(0).read("result")]
        for read in (one.read_settings, one.fingerprint, one.division, one.read_log, one.costs):
            read()
        for name in ("held_out", "selection", "fit", "timing"):
            one.seed(0).read(name)
        for iteration in one.seed(0).points():
            one.seed(0).read_point(iteration)
        return metrics, results, [trained.window for trained in one.each_seed()]

    def evaluated(run: Path) -> Any:
        return json.loads(command(["evaluate", str(run), "--json"]))

    def continued(run: Path) -> Any:
        command(fit(folder, run))
        return json.loads((run / "metrics.json").read_text())["selection"]

    def taught(run: Path) -> Any:
        """What another method would learn from it, as `distill` asks; `add-category` reads the same of a run."""
        lesson = lesson_of(run, "rgb", DakdConfig(), {})
        return [(video.name, video.split) for video in lesson.dataset.videos], lesson.features, lesson.config

    return {
        "scored": scored,
        "budget": budget,
        "remembered": remembered,
        "evaluated": evaluated,
        "continued": continued,
        "taught": taught,
    }


def says(detector: Detector) -> Any:
    found = [detector.score({"rgb": VIDEO}, mode=mode) for mode in ("whole", "online")]
    return [(one.scores.tolist(), one.events, one.threshold) for one in found]


FILES = (
    *["model.json"] * 6, *["model.safetensors"] * 4, *["calibration.json"] * 3, *["config.yaml"] * 2,
    *["metrics.json"] * 2, *["seed-0/result.json"] * 2, "fingerprint.json", "log.jsonl", "seed-0/model.json",
    "seed-0/model.safetensors", "seed-0/held_out.json", "seed-0/selection.json", "seed-0/fit.json",
    "seed-0/timing.json", "seed-0/points",
)  # fmt: skip
USES = {
    "model.json": ("scored", "scored", "scored", "budget", "remembered", "evaluated"),
    "model.safetensors": ("scored", "scored", "scored", "budget", "remembered", "evaluated"),
    "calibration.json": ("budget", "budget", "budget", "remembered", "scored"),
    "config.yaml": ("taught", "taught", "remembered", "evaluated", "continued"),
}
"""What is done with a run of which such a file was damaged."""
OTHERWISE = ("remembered",) * 5 + ("evaluated", "evaluated", "continued", "scored", "taught")


@kind("run folders", prepare=whole)
def run_folders(rng: random.Random, folder: Path) -> Case:
    run = folder / "run"
    shutil.copytree(whole()["run"], run)
    path = run / rng.choice(FILES)
    path = rng.choice(sorted(path.iterdir())) if path.is_dir() else path
    knows = rng.random() < 0.25
    if knows:
        forget(run, rng.random() < 0.5)
    damage(rng, path)
    if knows and rng.random() < 0.7:
        seal(run)
    use = rng.choice(USES.get(str(path.relative_to(run)), OTHERWISE))

    def case() -> None:
        found = uses(whole()["folder"])[use](run)
        if not knows and not same(found, whole()[use]):
            raise Fault(NOTHING, f"{use}, {path.relative_to(run)}: {str(found)[:300]}")

    return case


def same(found: Any, there: Any) -> bool:
    """What is missing is said to be missing, and so is nothing wrong."""
    if isinstance(found, tuple):
        return all(same(*pair) for pair in zip(found, there, strict=True))
    return found is None or found == [None] or found == there


def damage(rng: random.Random, path: Path) -> None:
    if rng.random() < 0.15:
        replace(rng, path)
    elif path.suffix == ".safetensors" and rng.random() < 0.6:
        damage_tensors(rng, path)
    elif path.suffix == ".json" and rng.random() < 0.8:
        damage_json(rng, path)
    elif path.suffix == ".yaml" and rng.random() < 0.8:
        damage_yaml(rng, path)
    else:
        damage_bytes(rng, path)


def damage_tensors(rng: random.Random, path: Path) -> None:
    """A file that is whole, with other numbers in it."""
    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    one = tensors[name]
    tensors[name] = rng.choice(
        (one * torch.nan, one + torch.inf, one * 0, -one, one * 1e30, one[:1].contiguous(), one.to(torch.float16),
         one.to(torch.int32), torch.zeros(0), torch.zeros(()), one.flatten(), torch.cat([one, one]), one.bool())
    )  # fmt: skip
    match rng.randrange(8):
        case 0:
            del tensors[name]
        case 1:
            tensors[name + rng.choice(("x", ".x", "\n"))] = tensors.pop(name)
    save_file(tensors, path)


def forget(run: Path, older: bool) -> None:
    """As an older version wrote it, without any hash; or as one that is damaged by somebody who knows the hashes."""
    if older:
        for path in run.rglob("*.json"):
            record = json.loads(path.read_text())
            record = {key: value for key, value in record.items() if key not in ("sha256", "weights")}
            path.write_text(json.dumps(record | ({"format": 3} if path.name == "model.json" else {})))


def seal(run: Path) -> None:
    """Hashes that are right again, as far as the files can be read."""
    for path in run.rglob("*.json"):
        try:
            record = json.loads(path.read_text()) if path.is_file() else None  # a pipe would be waited for
            file = path.parent / "model.safetensors"
            weights = sha256(file) if file.is_file() else ""
        except (OSError, ValueError, RecursionError, WsvadError):
            continue
        if isinstance(record, dict) and "sha256" in record:
            path.write_text(json.dumps(sealed(record | ({"weights": weights} if "weights" in record else {}))))
