"""`make bench`: one table of everything that must be fast, each against a plain way of doing the same.

python benchmarks/speed.py [PART …]      by default all; rows of other parts stay as they were measured

Networks are compared with a plain eager transcription of the published method (`eager.py`), the loader with the way
public code builds a batch, metrics with scikit-learn, decoding with converting every frame. Written to
`benchmarks/results/speed.md` and `speed.json`.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
KEPT = HERE / "results" / "speed.json"
PARTS = ("video", "loader", "networks", "inductors", "students", "motar", "metrics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats; results are printed, not kept")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; by default all")
    given = parser.parse_args()
    quick, parts = given.quick, given.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part '{unknown.pop()}'; choose one of: {', '.join(PARTS)}")
    sys.path.insert(0, str(HERE))
    rows = []
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        rows += [{"part": part, **row} for row in importlib.import_module(part).rows(quick=quick)]
    table = Table("what", "ours, s", "plain, s", "times faster", "remark")
    for row in rows:
        table.add_row(row["what"], *cells(row), remark(row))
    Console().print(table)
    if not quick:
        before = json.loads(KEPT.read_text(encoding="utf-8"))["rows"] if KEPT.is_file() else []
        keep(sorted([*rows, *(r for r in before if r["part"] not in parts)], key=lambda row: PARTS.index(row["part"])))


def cells(row: dict) -> tuple[str, str, str]:
    eager = row.get("eager")
    return (
        f"{row['ours']:.4g}",
        "–" if eager is None else f"{eager:.4g}",
        "–" if eager is None else f"{row['ratio']:.1f}",
    )


def remark(row: dict) -> str:
    difference = f"scores differ by {row['score_difference']:.1g} at most" if "score_difference" in row else ""
    return row.get("remark", difference)


def keep(rows: list[dict]) -> None:
    machine = f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, torch {torch.__version__}"
    lines = [
        f"# Speed\n\n`make bench` on {machine}. Seconds; medians of repeats taken in turn with the plain way;\n"
        "parts may have been measured on different days.\n",
        "| what | ours, s | plain, s | times faster | remark |",
        "| --- | ---: | ---: | ---: | --- |",
        *(f"| {row['what']} | {' | '.join(cells(row))} | {remark(row)} |" for row in rows),
    ]
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "speed.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    KEPT.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
