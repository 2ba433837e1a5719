"""Damaged files of each kind through the program; how they ended is kept in `benchmarks/results/fuzz.md`.

    python benchmarks/fuzz.py [--count 5000] [--kind NAME …] [--seed 0] [--only NUMBER …]

The kinds and the damage are those of `tests/fuzz`. With `--only`, cases are run again and what they said is printed.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fuzz.harness import ENDINGS, Ended, kinds, run  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "fuzz.md"
HEAD = """# Damaged files

`make fuzz`: seeded damage to whole files (bytes, values, the file itself), each case run through the program in a
process that is watched. A case is right if the file is read or refused in one line, within 5 s of processor time and
1 GB, and leaves no half file; a run folder that was damaged gives the scores of the whole one or is refused.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--kind", action="append", choices=list(kinds()))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, action="append", default=[])
    given = parser.parse_args()
    rows, wrong = read(), 0
    for name in given.kind or list(kinds()):
        start, ended = time.monotonic(), []
        for one in run(name, given.count, seed=given.seed, only=given.only):
            ended.append(one)
            if one.fault or given.only:
                print(f"{name} {one.number}: {one.ending}: {one.words}", flush=True)
        rows[name] = row(name, ended)
        wrong += sum(one.fault for one in ended)
        print(f"{rows[name]}  {time.monotonic() - start:.0f} s", flush=True)
    if not given.only:
        head = f"| kind | cases | {' | '.join(ENDINGS)} |\n|---|---:|{'---:|' * len(ENDINGS)}\n"
        RESULTS.write_text(HEAD + head + "".join(f"{rows[name]}\n" for name in sorted(rows)))
    sys.exit(bool(wrong))


def row(name: str, ended: list[Ended]) -> str:
    found = Counter(one.ending for one in ended)
    return f"| {name} | {len(ended):,} | {' | '.join(f'{found[ending]:,}' for ending in ENDINGS)} |"


def read() -> dict[str, str]:
    """The rows that are there, so that one kind can be run again."""
    lines = RESULTS.read_text().splitlines() if RESULTS.is_file() else []
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| kind")]
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


if __name__ == "__main__":
    main()
