"""The cells of a study: which work may be done side by side."""

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.linear import LinearConfig
from wsvad.metrics.interval import Interval
from wsvad.studies.cells import run_cells
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol


def test_all_scores_are_made_in_the_cells_and_none_where_an_experiment_ends(tmp_path, monkeypatch):
    """It ends in one process, after the others: online scores, which take as long as a fit, were made there."""
    rng = np.random.default_rng(0)
    videos = tuple(
        LabelledVideo(
            name=f"v{i}.mp4", label=i % 2, category="fight" if i % 2 else "normal",
            split="test" if i >= 8 else "train",
            intervals=(Interval(start=0, end=16, category="fight"),) if i % 2 else (),
        )
        for i in range(12)
    )  # fmt: skip
    for number, video in enumerate(videos):
        array = rng.normal(size=(5, 4)).astype(np.float32) + number % 2
        passport = Passport(encoder="made", width=4, frames=16 * 5)
        save(feature_path(tmp_path, "rgb", video.name), StoredFeatures(features=array, passport=passport))
    experiment = Experiment(
        dataset=Dataset(name="tiny", videos=videos), features=tmp_path, name="linear", config=LinearConfig(),
        protocol=Protocol(seeds=2, points=1), out=tmp_path / "run",
    )  # fmt: skip
    seen = []
    monkeypatch.setattr(
        Experiment, "end", lambda one: seen.extend(one.folder.seed(seed).read("online") for seed in one.seeds)
    )
    run_cells({"linear": experiment}, lambda one, fitted: True, 0)
    assert [set(record["online"]) for record in seen] == [{f"v{i}.mp4" for i in range(8, 12)}] * 2
