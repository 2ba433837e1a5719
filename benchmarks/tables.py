"""The papers' tables on the simulated camera, and the questions that they leave open; written to `results/`.

python benchmarks/tables.py METHOD [TABLE …]      by default all tables that need no second dataset

Five seeds, the `data` budget. Each is one command, printed as it runs; a killed run goes on.
"""

import shutil
import sys
from pathlib import Path

from command import wsvad

from wsvad.studies.ablations import ABLATIONS

RESULTS = Path(__file__).parent / "results"
MOBILENET = Path("../shared/models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite")
OPTIONS = {
    "pi-vad": ["--rgb", "motion", "--config.profile", "light", "--precision", "bf16"],
    "dakd": [
        "--stream", f"mobilenet=tflite:{MOBILENET}", "--stream", "motion=motion",
        "--config.backbones", "[mobilenet,motion,pose]", "--config.student", "motion",
    ],
    "refinevad": ["--rgb", "motion", "--config.streams", "[rgb,text]"],
}  # fmt: skip
"""Streams, and what a method needs to finish on two cores."""


def run(method: str, *tables: str, out: Path = Path("runs/ablate")) -> None:
    chosen = tables or [name for name, table in ABLATIONS[method].items() if not table.elsewhere]
    for table in chosen:
        command = ["ablate", method, "--table", table, "--data", "toy", "--seeds", "5"]
        command += ["--points", "1", "--out", str(out), *OPTIONS[method]]
        wsvad(*command)
        for suffix in ("csv", "md", "svg"):
            shutil.copy(out / f"{method}-{table}.{suffix}", RESULTS)


if __name__ == "__main__":
    run(*sys.argv[1:])
