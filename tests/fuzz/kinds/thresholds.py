"""What a run keeps for its thresholds: scores of normal videos, known events, and the threshold that a person set.
Whatever is damaged, a threshold does what it did, or the run is refused."""

import atexit
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.harness import INTERNAL, NOTHING, Case, Fault, command, kind
from fuzz.kinds.run_folders import SNIPPETS, WIDTH, damage, forget, seal
from fuzz.mutate import damage_json
from wsvad.detection.calibration import NormalScores, known_record, recalibrated
from wsvad.detection.operating import Known
from wsvad.methods.mil import Mil, MilConfig
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import MODES

ASKED = (
    ["--json"], ["--json", "--mode", "online"], ["--set", "0.6"], ["--find", "0.5"], ["--find", "1"],
    ["--max-false-alarms-per-day", "1e5"], ["--max-false-alarms-per-hour", "1"], ["--reset"],
)  # fmt: skip
FILES = (*["calibration.json"] * 6, *["model.json"] * 3, "threshold.html", "metrics.json")


@cache
def whole() -> dict[str, Any]:
    """A run, and what each question to it comes to."""
    folder = Path(tempfile.mkdtemp(prefix="wsvad-fuzz-thresholds-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    rng, times = np.random.default_rng(0), np.arange(SNIPPETS + 1) * 16 / 30
    normal = {m: [(f"n{n}.mp4", rng.random(SNIPPETS).round(3), times) for n in range(3)] for m in MODES}
    known = {
        mode: [
            Known(
                video=f"k{n}.mp4", scores=rng.random(SNIPPETS).round(3), times=times,
                events=[(1.0, 2.0), (4.0, 9.5)], split=("test", "train")[n],
            )
            for n in range(2)
        ]
        for mode in MODES
    }  # fmt: skip
    filmed = {"n0.mp4": np.diff(times) / 2}
    calibration = NormalScores(fits=2, curves=normal, filmed=filmed, hours=1.0).as_dict() | known_record(known)
    run = RunFolder(folder / "run")
    run.path.mkdir()
    trained = TrainedMethod(
        name="mil", method=Mil({"rgb": WIDTH}, MilConfig(hidden=(8, 4))), widths={"rgb": WIDTH},
        normalisation=Normalisation(kinds={"rgb": "l2"}),
    )  # fmt: skip
    run.finish(trained, calibration=calibration)
    trained.calibration = recalibrated(run, EventRules(), 1.0).as_dict()
    run.finish(trained, calibration=calibration)
    command(["threshold", str(run.path), "--mode", "online", "--set", "0.7"])
    copies = [Path(shutil.copytree(run.path, folder / str(number))) for number in range(len(ASKED))]
    return {"run": run.path, "says": [asked(*one) for one in zip(copies, ASKED, strict=True)]}


def asked(run: Path, words: list[str]) -> Any:
    """What a question to a run comes to: what is printed, and the threshold and the curve that it has then."""
    printed = command(["threshold", str(run), *words])
    shown = json.loads(command(["threshold", str(run), "--json"]))
    page = run / "threshold.html"
    if page.is_file() and "<script>alert" in page.read_text():
        raise Fault(INTERNAL, "what a file says is markup on the page")
    return printed, shown["threshold"], shown["curve"]


@kind("thresholds", prepare=whole)
def thresholds(rng: random.Random, folder: Path) -> Case:
    run = folder / "run"
    shutil.copytree(whole()["run"], run)
    path = run / rng.choice(FILES[:-1])
    knows = rng.random() < 0.6
    if knows:
        forget(run, rng.random() < 0.3)
    match rng.randrange(4):
        case 0 if path.name == "calibration.json":
            much(rng, path)
        case 1 if path.suffix == ".json":
            damage_json(rng, path)
        case _:
            damage(rng, path)
    if knows:
        seal(run)
    number = rng.randrange(len(ASKED))

    def case() -> None:
        found, before = asked(run, ASKED[number]), whole()["says"][number]
        if not (run / "calibration.json").exists():  # and then it is said that nothing is known
            found, before = found[1:], (before[1], [])
        if not knows and found != before:
            raise Fault(NOTHING, f"{ASKED[number]}, {path.name}: {str(found)[:300]}")

    return case


def much(rng: random.Random, path: Path) -> None:
    """Far more of something than there is, or a video of another kind, in a file of a few megabytes."""
    record = json.loads(path.read_text())
    video = rng.choice((record["whole"][0], record["known"]["whole"][0], record["known"]["whole"][1]))
    count = rng.choice((1, 1000, 20_000))
    match rng.randrange(5):
        case 0:
            video["events"] = [[n / 1000, n / 1000 + 1] for n in range(count)]
        case 1:
            video["scores"] = [(n * 7919 % 100_003) / 100_003 for n in range(count)]
            video["times"] = [0.5 * n for n in range(count + 1)]
        case 2:
            video["scores"] = [(n * 7919 % 100_003) / 100_003 for n in range(count)]
            video["times"] = [0.5 * n for n in range(count + 1)]
            video["events"] = [[n / 10, n / 10 + 1] for n in range(count)]
        case 3:
            video["video"] = rng.choice(("</script><script>alert(1)</script>", "\x1b[2J", "=1+1"))
            video["times"] = [1e8 * n for n in range(len(video["times"]))]
        case _:
            video["scores"] = [rng.choice((0, 1, 1e-300, 5e-324))] * len(video["scores"])
    path.write_text(json.dumps(record))
