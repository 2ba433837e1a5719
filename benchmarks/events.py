"""Event-level figures of methods on four sets: events found, false alarms an hour, delay, F1; to `results/events.md`.

    python benchmarks/events.py [OUT] [METHODS] [SETS] [SEEDS]

By default runs/events, all methods, cctv-fights, ucsd-ped2, toy and ucf-crime-captions, five seeds; METHODS and SETS
are lists with commas. The footage lies beside the project. Streams are `motion`, and of UCF-Crime, of which there are
only captions, `lsa` of these; π-VAD, light, learns from poses of several people too, of the simulated camera from its
exact streams. Defaults and the `data` budget throughout; of the captions the numbers of iterations that
`benchmarks/captions.py` chose on training videos. Nothing is tuned here: thresholds are those that held-out normal
training videos give for 1 false alarm an hour, as `wsvad train` chooses them where there is little normal video.

What is finished lies in OUT; run it again, with other methods too, to resume. The page has whatever is there.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from captions import ITERATIONS, OPTIONS
from encoders import ENCODERS

from wsvad.encoders import resolve
from wsvad.evaluation.vocabulary import ALERT_KEYS, METRICS, ONLINE, UNDEFINED, span_of, with_spread
from wsvad.files import read_json, write_text
from wsvad.methods import METHODS
from wsvad.methods.method import default_config
from wsvad.studies.bench import run_bench
from wsvad.tables import markdown, table_text
from wsvad.training.protocol import Protocol

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
SETS = ("cctv-fights", "ucsd-ped2", "toy", "ucf-crime-captions")
NAMED = ("linear", "mil", "rtfm", "ur-dmu", "dakd", "pi-vad", "refinevad")
KEYS = [key for key in ALERT_KEYS if not key.endswith(ONLINE)]
HEAD = """# Events found, false alarms an hour, delay

`python benchmarks/events.py` makes it. Each method after its last iteration, at each seed's threshold, which its
held-out normal *training* videos give for 1 false alarm an hour, as `wsvad train` chooses it where there is little
normal video: no figure of a test video chose anything. Percent where no unit is named, mean ± standard deviation over
seeds, and the 95 % interval over test videos (bootstrap). *Whole* looks at a video at once, and its delays are those
that there would be if scores came as it went on; *online* is a running camera. What the columns are, and where they are
from, stands in `src/wsvad/metrics/alerts.py`. Curves of events found against false alarms an hour are on the pages of
`wsvad bench`; the values of single seeds are in [events.csv](events.csv).
"""
FINDINGS = """
## What it says

So little normal video cannot promise one false alarm an hour: 2.6 minutes on ucsd-ped2, 6 on cctv-fights and on the
simulated camera. There a threshold is what held-out videos allow, from 0.5 to 0.95, and `wsvad train` says that nothing
is promised.

Where the camera is that of the training videos, nearly all events are found: on ucsd-ped2 by `rtfm`, `ur-dmu`, `mil`
and `pi-vad`, looking at videos whole, without a false alarm in 99 s of normal test video, on the simulated camera 83 to
98 % at 10 to 67 false alarms an hour, where `dakd` has the best F1. On cctv-fights, whose test videos are other scenes,
a choice has to be made that training videos do not make: `mil`, `ur-dmu` and `pi-vad` find 63 to 83 % of the fights at
200 to 370 false alarms an hour, an alert in every second to third of its six-second videos; `linear`, `rtfm`,
`refinevad` and `dakd` find less than a third, at 11 to 74. By frame AUC `linear` is the best there, by event F1 `mil`:
the order of methods is another one where events are counted.

From captions of UCF-Crime every method alerts at 0.50: `linear` for nearly all events and 23 times an hour of normal
video, `rtfm` for three of four and 8 times, with the best F1; looking at videos as they come, for half of them and 5
times.
"""


def run(name: str, method: str, seeds: int, out: Path) -> dict[str, Any]:
    """The row of a method after its last iteration; from its file where that is there."""
    folder, protocol = out / name / method, Protocol(seeds=seeds, budget="data", normalise="standardise", points=1)
    data, encoder = name if name == "toy" else str(SHARED / name), "motion"
    config: Any = default_config(METHODS[method].config_class, "data")
    if name == "ucf-crime-captions":
        data, encoder = f"ucf-crime:{SHARED / name}", f"lsa:{SHARED / name / 'captions.jsonl'}"
        config = replace(config, **OPTIONS.get(method, {}))
        own = Protocol(seeds=seeds, segments=16, bags=32, normalise="none", points=1, iterations=ITERATIONS.get(method))
        # A method that is not there has the budget of its own.
        protocol = own if method in ITERATIONS else protocol
    if method == "dakd":
        config = replace(config, backbones=("rgb",))
    if method == "refinevad" and name != "ucf-crime-captions":
        config = replace(config, streams=("rgb",))
    streams = {"rgb": resolve(encoder)[0]}
    if method == "pi-vad" and name != "toy":  # whose camera says exactly where people are
        streams["people"] = resolve(ENCODERS["people"])[0]
        config = replace(config, modalities=("people",), profile="light")
    if not (folder / "bench.json").is_file():
        run_bench(
            data, {method: config}, protocol, streams=streams,
            features=None if name == "toy" else out / name / "features", out=folder,
        )  # fmt: skip
    rows = read_json(folder / "bench.json")["rows"]
    return next(row for row in rows if row["selection"] == "last")


def lines(rows: Sequence[dict[str, Any]], end: str) -> list[list[str]]:
    """Head and body of a table of one set in one mode."""
    body = []
    for row in sorted(rows, key=lambda row: -(row["metrics"][f"event_f1{end}"]["mean"] or 0)):
        cells = []
        for key in KEYS:
            value, unit = row["metrics"][f"{key}{end}"], METRICS[key].unit
            words = UNDEFINED if value["mean"] is None else with_spread(value, unit)
            sure = span_of(row["intervals"].get(f"{key}{end}"), 1, unit)
            cells.append(f"{words} ({sure})" if sure else words)
        levels = row["alerts"]["online" if end else "whole"]["thresholds"]
        spread = f"{min(levels):.2f}" if max(levels) - min(levels) < 0.005 else f"{min(levels):.2f}–{max(levels):.2f}"
        body.append([row["method"], spread, *cells, with_spread(row["metrics"]["auc"])])
    return [["method", "threshold", *(METRICS[key].name for key in KEYS), METRICS["auc"].name], *body]


def write_page(out: Path, seeds: int) -> None:
    """The page and the table of all seeds, of what is finished."""
    parts, table = [HEAD], list[tuple[object, ...]]()
    for name in SETS:
        rows = [run(name, m, seeds, out) for m in NAMED if (out / name / m / "bench.json").is_file()]
        if not rows:
            parts.append(f"\n## {name}\n\nNot run yet.\n")
            continue
        count = len(rows[0]["metrics"]["auc"]["values"])
        modes = {"whole": "", "online": ONLINE} if all("online" in row["alerts"] for row in rows) else {"whole": ""}
        for mode, end in modes.items():
            parts.append(f"\n## {name}, {mode}, {count} seeds\n\n{markdown(lines(rows, end))}")
        left = [m for m in NAMED if m not in {row["method"] for row in rows}]
        parts.append(f"\nNot run yet: {', '.join(left)}.\n" if left else "")
        for row in rows:
            for key in ("auc", *ALERT_KEYS):
                values = row["metrics"].get(key, {"values": ()})["values"]
                table += [(name, row["method"], key, seed, "" if v is None else v) for seed, v in enumerate(values)]
    results = Path(__file__).parent / "results"
    write_text(results / "events.md", "".join([*parts, FINDINGS]))
    write_text(results / "events.csv", table_text(("data", "method", "metric", "seed", "value"), table))


def main(out: str = "runs/events", methods: str = ",".join(NAMED), sets: str = ",".join(SETS), seeds: str = "5"):
    for name in sets.split(","):
        for method in methods.split(","):
            if (name, method) != ("ucf-crime-captions", "pi-vad"):  # it would synthesise its streams from the captions
                run(name, method, int(seeds), Path(out))
                write_page(Path(out), int(seeds))


if __name__ == "__main__":
    main(*sys.argv[1:])
