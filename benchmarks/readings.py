"""Two readings of DAKD's "one hidden layer", compared on abnormal *training* videos: does the teacher tell a video's
segments apart at all? Printed as it goes.

python benchmarks/readings.py      three seeds, the stream `motion` alone, the `data` budget; the footage lies beside us
"""

from pathlib import Path
from typing import Literal

import numpy as np

from wsvad.datasets.bags import load_bags
from wsvad.methods.dakd import DakdConfig
from wsvad.runs.scorer import score_bags
from wsvad.studies.bench import open_data
from wsvad.training.experiment import Experiment
from wsvad.training.loop import run_phases
from wsvad.training.protocol import Protocol

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
READINGS: tuple[Literal["block", "wide"], ...] = ("block", "wide")


def span(data: str, reading: Literal["block", "wide"], seed: int, out: Path = Path("runs/readings")) -> float:
    """Highest less lowest score within a video, on average over abnormal training videos."""
    dataset, features = open_data(str(SHARED / data), {"rgb": "motion"}, out / "features" / data, out)
    experiment = Experiment(
        dataset=dataset, features=features, name="dakd", out=out,
        config=DakdConfig(backbones=("rgb",), student="", reading=reading, test="native"),
        protocol=Protocol(budget="data", normalise="standardise"),
    )  # fmt: skip
    teacher = experiment.build(seed)
    phases = experiment.phases(teacher)
    run_phases(teacher, phases, experiment.packed, experiment.normalisation, seed=seed, points=1)
    abnormal = [video for video in dataset.train if video.label]
    bags = list(load_bags(abnormal, experiment.source, experiment.streams, experiment.check))
    return float(np.mean([np.ptp(scores) for scores in score_bags(teacher, bags, experiment.normalisation)]))


if __name__ == "__main__":
    for data in ("ucsd-ped2", "cctv-fights"):
        for reading in READINGS:
            print(f"{data}, {reading}: {np.mean([span(data, reading, seed) for seed in range(3)]):.3f}", flush=True)
