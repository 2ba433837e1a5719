"""What a long recording costs a method's head, and what scoring it in blocks changes; writes `results/long.md`.

    python benchmarks/long.py [time] [agree]          by default both; `--methods a,b` for some of the methods

`time`: random features of 1,000 to 162,000 snippets (a day at 30 frames per second), two threads, each method in a
process of its own; the fastest of three passes, one beyond 30,000, and the memory that a pass adds to that of the
features. `agree`: each method is fitted to three real sets (seed 0), which lie beside the project, and their videos are
joined to a recording. That is scored whole and in blocks. The length of a block is chosen on training videos; test
videos are what is reported. On two idle cores `time` takes 12 minutes, 8 of them for π-VAD's profile `paper`, and
`agree` 12.

What was measured lies in `results/long.json`, row by row; rows that are not measured again stay.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wsvad.datasets.bags import keep_bags, load_bags
from wsvad.datasets.dataset import Bag, LabelledVideo
from wsvad.encoders import resolve
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.files import read_json, write_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.abilities import Compacts
from wsvad.methods.method import default_config
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.metrics.events import EventRules, find_events
from wsvad.metrics.frame import roc_auc
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import BLOCK, OVERLAP, Scorer
from wsvad.studies.bench import open_data
from wsvad.training.experiment import Experiment
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol

HERE = Path(__file__).parent
KEPT = HERE / "results" / "long.json"
SHARED = HERE.parent.parent / "shared"
DAY = 162_000
LENGTHS = (1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, DAY)
WIDTHS = {"rgb": 1024, "pose": 256, "depth": 384, "mask": 256, "flow": 256, "text": 512}
LIGHT = PiVadConfig(profile="light")
HEADS: dict[str, tuple[str, Any]] = {
    **{
        name: (name, default_config(METHODS[name].config_class, "data"))
        for name in ("mil", "rtfm", "ur-dmu", "dakd", "refinevad")
    },
    "pi-vad light": ("pi-vad", LIGHT),
    "pi-vad paper": ("pi-vad", PiVadConfig()),
}
RECORDING = 8192
"""Snippets of a joined recording, whose whole score still fits into memory for every method."""
BLOCKS = (512, 1024, 2048, 4096)
SETS: dict[str, tuple[str, dict[str, str]]] = {
    "ucsd-ped2": ("data/ucsd-ped2", {"rgb": "tflite:{models}/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"}),
    "cctv-fights": ("data/cctv-fights", {"rgb": "motion", "flow": "flow"}),
    "captions": ("data/ucf-crime-captions", {"rgb": "lsa:{data}/captions.jsonl"}),
}
"""Folder and encoders; on ucsd-ped2 and the captions π-VAD synthesises its own `rgb`, as there is no other stream."""
ITERATIONS = {"ur-dmu": 50, "mil": 80, "rtfm": 300, "dakd": 90, "refinevad": 75, "pi-vad": 50}
"""On the captions, as `captions.py` has it; elsewhere the budget is the data's."""

# --------------------------------------------------------------------------------------------------------------- time


def measure_time(name: str) -> None:
    """Printed line by line: length, seconds, megabytes. Run in a process of its own."""
    torch.set_num_threads(2)
    kind, config = HEADS[name]
    torch.manual_seed(0)
    method = METHODS[kind](WIDTHS, config)
    method = method.compact() if isinstance(method, Compacts) else method.eval()
    scorer = Scorer(method, Normalisation(kinds=dict.fromkeys(WIDTHS, "none")))
    for length in LENGTHS:
        streams = {stream: torch.randn(length, WIDTHS[stream]) for stream in method.runs_on}
        bag = Bag(streams=streams, label=0, category="", frames=0, video="")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
        before, seconds = status("VmRSS"), []
        for _ in range(3 if length < 30_000 else 1):
            start = time.perf_counter()
            scorer.scores([bag])
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"snippets": length, "seconds": min(seconds), "mb": status("VmHWM") - before}), flush=True)


def status(name: str) -> float:
    """A line of `/proc/self/status`, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def timed(name: str) -> list[dict[str, Any]]:
    """The lines of `measure_time`."""
    command = [sys.executable, __file__, "--measure", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def slope(rows: Sequence[dict[str, Any]]) -> float:
    """Of log seconds over log snippets."""
    x, y = (np.log([row[key] for row in rows]) for key in ("snippets", "seconds"))
    return float(np.polyfit(x, y, 1)[0])


# -------------------------------------------------------------------------------------------------------------- agree


def fitted(data: str, method: str, out: Path) -> tuple[Scorer, Experiment]:
    """A method fitted to a set as its README row is, seed 0."""
    folder, encoders = SETS[data]
    specs = {s: e.format(models=SHARED / "models", data=SHARED / folder) for s, e in encoders.items()}
    captions = data == "captions"
    where = f"ucf-crime:{SHARED / folder}" if captions else str(SHARED / folder)
    streams = {stream: resolve(spec)[0] for stream, spec in specs.items()}
    dataset, features, _ = open_data(where, streams, out / data / "features", out / data)
    (other,) = [stream for stream in specs if stream != "rgb"] or ["text"]
    if other not in specs and not (features / other).exists():
        (features / other).symlink_to("rgb")
    config = default_config(METHODS[method].config_class, "data")
    if method == "pi-vad":
        config = replace(config, profile="light", modalities=(other,))
    if method == "dakd":
        config = replace(config, backbones=("rgb",) if other == "text" else ("rgb", other))
    protocol = Protocol(budget="data", normalise="standardise")
    if captions:
        protocol = Protocol(segments=16, bags=32, normalise="none", iterations=ITERATIONS[method])
    experiment = Experiment(
        dataset=dataset, features=features, name=method, config=config, protocol=protocol, out=out / data / method
    )
    fitting = experiment.fitting
    network = fitting.build(0)
    run_phases(network, fitting.phases(network), fitting.packed, fitting.normalisation, seed=0, points=1)
    return Scorer(network, fitting.normalisation), experiment


def recording(videos: Sequence[LabelledVideo], bags: Sequence[Bag]) -> tuple[list[int], Bag]:
    """Videos in drawn orders, one after another: which they are, and all of them as one."""
    rng, order, length = np.random.default_rng(0), [], 0
    while length < RECORDING:
        for number in rng.permutation(len(videos)).tolist():
            if length < RECORDING:
                order.append(number)
                length += bags[number].snippets
    names = bags[0].streams
    streams = {name: torch.cat([bags[number].streams[name] for number in order], dim=-2) for name in names}
    return order, replace(bags[0], streams=streams)


def agreement(data: str, method: str, out: Path) -> list[dict[str, Any]]:
    """Whole against blocks, for blocks of several lengths: on joined training videos, then on joined test videos."""
    scorer, experiment = fitted(data, method, out)
    rows, threshold = [], 0.0
    for split in ("train", "test"):
        videos = getattr(experiment.dataset, split)
        fitting = experiment.fitting
        bags = keep_bags(load_bags(videos, fitting.source, fitting.scored, fitting.check))
        order, joined = recording(videos, bags)
        shown, parts = [videos[number] for number in order], [bags[number] for number in order]
        whole = at(scorer, joined, 10**9)
        if split == "train":
            normal = np.repeat([video.label == 0 for video in shown], [bag.snippets for bag in parts])
            threshold = float(np.quantile(whole[normal], 0.95))
        for block in (0, *BLOCKS):
            found = at(scorer, joined, block) if block else whole
            off = np.abs(found - whole)
            rows.append(
                {"split": split, "block": block, "snippets": len(found), "largest": float(off.max())}
                | {"mean": float(off.mean()), "auc": auc(shown, parts, found, known=split == "test")}
                | events(whole, found, threshold)
            )
    return rows


def at(scorer: Scorer, bag: Bag, block: int) -> np.ndarray:
    return Scorer(scorer.method, scorer.normalisation, block=block).scores([bag])[0]


def auc(videos: Sequence[LabelledVideo], bags: Sequence[Bag], scores: np.ndarray, known: bool) -> float:
    """Of frames, by the truth; or of snippets by the label of their video, where no other may be known."""
    lengths = [bag.snippets for bag in bags]
    if not known:
        labels = np.repeat([video.label for video in videos], lengths)
        return float(roc_auc(scores, labels, 1 - labels))
    parts = zip(videos, bags, np.split(scores, np.cumsum(lengths)[:-1]), strict=True)
    return evaluate([Curve.of(video, one, bag.clock) for video, bag, one in parts])["auc"]


def events(whole: np.ndarray, found: np.ndarray, threshold: float) -> dict[str, int]:
    """How many events either finds, and how many of them are in both, begun and ended within a second."""
    edges = np.arange(len(whole) + 1)
    each = [
        [(e.start_frame, e.end_frame) for e in find_events(s, edges * 16 / 30, edges, threshold=threshold, rules=RULES)]
        for s in (whole, found)
    ]
    same = sum(any(abs(a - c) <= 2 and abs(b - d) <= 2 for c, d in each[1]) for a, b in each[0])
    return {"whole_events": len(each[0]), "events": len(each[1]), "same": same}


RULES = EventRules()

# -------------------------------------------------------------------------------------------------------------- tables


def keep(found: dict[str, Any]) -> None:
    """The tables and the plot."""
    write_json(KEPT, found)
    write_text(HERE / "results" / "long.md", "\n".join(lines(found)) + "\n")
    plot(found["time"], HERE / "results" / "long.svg")


def lines(found: dict[str, Any]) -> list[str]:
    """`long.md`."""
    text = (
        "# Long recordings\n\n"
        f"Videos of more than {BLOCK:,} snippets are scored in blocks of so many, of which neighbours share "
        f"{OVERLAP:.1%}; each gives\nup its outer half of that. `python benchmarks/long.py` remakes this page.\n\n"
        "## Time and memory\n\n"
        "Seconds of the head alone on two cores, one crop, the fastest of three passes, one beyond 30,000 (other work\n"
        "beside it shows there). *Slope*: of the line through log seconds over log snippets. *MB*: what a pass adds\n"
        "to the features in memory, at its peak: the shortest recording in blocks, and a day.\n"
    )
    rows = [["", *(f"{length:,}" for length in LENGTHS), "slope", "MB, 4,000", "MB, a day"]]
    for name, each in found["time"].items():
        memory = [row["mb"] for row in each if row["snippets"] in (4000, DAY)]
        seconds = [f"{row['seconds']:.2f}" for row in each]
        rows.append([name, *seconds, f"{slope(each):.2f}", *(f"{mb:.0f}" for mb in memory)])
    paper = found["time"].get("pi-vad paper", [{"seconds": float("nan")}])[-1]["seconds"] / 60
    told = [text, *table(rows), "", PAPER.format(paper), "![Seconds over snippets](long.svg)", "", AGREE, CHOSEN]
    for split, title in (("train", "Training videos, by which the length was chosen"), ("test", "Test videos")):
        told += [f"### {title}", ""]
        rows = [["", "whole: AUC", "events", *(f"{block:,}" for block in BLOCKS)]]
        for name, each in found["agree"].items():
            whole, *blocked = [row for row in each if row["split"] == split]
            cells = [f"{r['largest']:.3f} / {100 * r['auc']:.2f} / {r['same']} of {r['events']}" for r in blocked]
            rows.append([name, f"{100 * whole['auc']:.2f}", str(whole["events"]), *cells])
        told += [*table(rows), ""]
    return told


PAPER = """\
π-VAD's profile `paper` executes 83 million weights for every snippet, 27 TFLOP a day without its attention, and takes
{:.1f} minutes for a day: for long recordings without a GPU there is `light`.
"""
CHOSEN = f"""\
By training videos longer blocks are better: of the captions π-VAD has an AUC of 89.97 whole, 89.60 with 4,096, 88.35
with {BLOCK:,}, 86.16 with 1,024 and 84.32 with 512. Against 4,096 speaks the time: below that length all is scored
whole, in time that grows with its square, so that the slope of UR-DMU is 1.13, and a day costs it 31 s and π-VAD
`light` 57 s, on two idle cores. MIL and RTFM do not notice blocks. Attention over all of a recording does: single
snippets of `cctv-fights`, of which UR-DMU and π-VAD are nearly certain either way, may change sides, and of the
captions' events, where many scores lie near the threshold, up to a third begin or end elsewhere. Test AUC stays
within 0.14 of a point. Neither way is the right one: training sees bags of at most 200 segments, and never so long a
recording.
"""
AGREE = f"""## Whole against blocks

Each method, seed 0, on the README's features (π-VAD `light`): `ucsd-ped2` MobileNet, `cctv-fights` `motion`,
UCF-Crime's captions `lsa`; on the first and the last π-VAD synthesises its own rgb, as there is no other stream. DAKD
scores at native length; its published 32 segments are always those of the whole video. All three sets have short
videos, so they are joined in drawn orders, again and again, to a recording of {RECORDING:,} snippets, which is scored
whole and in blocks of 512 to 4,096. A cell: the largest difference of a score / AUC / how many of the events in blocks
are the whole's, within two snippets at both ends. An event begins at the score that a twentieth of the normal snippets
of training videos reaches. AUC is of frames on test videos; on training videos, of which only the label is known, of
snippets by their video's label.
"""


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *rest = [f"| {' | '.join(row)} |" for row in rows]
    return [head, f"| --- |{' ---: |' * (len(rows[0]) - 1)}", *rest]


def plot(times: dict[str, Any], path: Path) -> None:
    """Seconds over snippets, both logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "wsvad"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, rows in times.items():
        axes.loglog([r["snippets"] for r in rows], [r["seconds"] for r in rows], marker="o", markersize=3, label=name)
    axes.axhline(60, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="snippets (162,000 are a day)", ylabel="seconds on two cores")
    if times:
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="time, agree; by default both")
    parser.add_argument("--methods", help="some of them, joined by commas; by default all")
    parser.add_argument("--out", type=Path, default=Path("runs/long"), help="where features are kept")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure_time(given.measure)
        return
    found = read_json(KEPT) if KEPT.is_file() else {"time": {}, "agree": {}}
    chosen = given.methods.split(",") if given.methods else None
    for name in HEADS if "time" in (given.parts or ["time"]) else ():
        if chosen is None or name in chosen:
            found["time"][name] = timed(name)
            keep(found)
    for name in METHODS if "agree" in (given.parts or ["agree"]) else ():
        for data in SETS if chosen is None or name in chosen else ():
            found["agree"][f"{name} {data}"] = agreement(data, name, given.out)
            keep(found)


if __name__ == "__main__":
    main()
