"""How long to learn from a small folder: the test metrics of runs over their iterations, mean over seeds.

    wsvad train VIDEOS --iterations 60 --seeds 3 --out RUN     # for each dataset
    python benchmarks/budget.py RUN...

The `data` budget was chosen by such curves, so the test sets named in `results/budget.md` are not untouched by it.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np


def curve(run: Path) -> dict[int, tuple[float, float]]:
    """Iteration → mean frame AUC and mean AUC on abnormal videos over the run's seeds."""
    found = defaultdict(list)
    for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "test" in row:
            found[row["iteration"]].append((row["test"]["auc"], row["test"]["auc_abnormal"]))
    return {iteration: tuple(np.mean(values, axis=0)) for iteration, values in sorted(found.items())}


def main() -> None:
    curves = {Path(run).name: curve(Path(run)) for run in sys.argv[1:]}
    print("| iteration | " + " | ".join(f"{name}, AUC / AUC_A" for name in curves) + " |")
    print("| ---: |" + " ---: |" * len(curves))
    for iteration in sorted(set.intersection(*(set(one) for one in curves.values()))):
        values = (f"{100 * one[iteration][0]:.2f} / {100 * one[iteration][1]:.2f}" for one in curves.values())
        print(f"| {iteration} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
