"""Two readings of DAKD's "one hidden layer", compared on abnormal *training* videos: does the teacher tell a video's
segments apart at all? Printed as it goes.

python benchmarks/readings.py      three seeds, the stream `motion` alone, the `data` budget; the footage lies beside us
"""

from pathlib import Path
from typing import Literal

import numpy as np

from wsvad.datasets.bags import load_bags
from wsvad.methods.dakd import DakdConfig
from wsvad.runs.scorer import Scorer
from wsvad.studies.bench import open_data
from wsvad.training.experiment import Experiment
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
READINGS: tuple[Literal["block", "wide"], ...] = ("block", "wide")


def span(data: str, reading: Literal["block", "wide"], seed: int, out: Path = Path("runs/readings")) -> float:
    """Highest less lowest score within a video, on average over abnormal training videos."""
    dataset, features, _ = open_data(str(SHARED / data), {"rgb": "motion"}, out / "features" / data, out)
    experiment = Experiment(
        dataset=dataset, features=features, name="dakd", out=out,
        config=DakdConfig(backbones=("rgb",), student="", reading=reading, test="native"),
        protocol=Protocol(budget="data", normalise="standardise"),
    )  # fmt: skip
    fitting = experiment.fitting
    teacher = fitting.build(seed)
    run_phases(teacher, fitting.phases(teacher), fitting.packed, fitting.normalisation, seed=seed, points=1)
    abnormal = [video for video in dataset.train if video.label]
    bags = list(load_bags(abnormal, fitting.source, fitting.streams, fitting.check))
    return float(np.mean([np.ptp(scores) for scores in Scorer(teacher, fitting.normalisation).scores(bags)]))


if __name__ == "__main__":
    for data in ("ucsd-ped2", "cctv-fights"):
        for reading in READINGS:
            print(f"{data}, {reading}: {np.mean([span(data, reading, seed) for seed in range(3)]):.3f}", flush=True)
