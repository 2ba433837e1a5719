"""Cross-fitting: what scores of normal videos come from, and what they must not depend on."""

from types import SimpleNamespace

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.division import folds
from wsvad.runs.seed import SeedFolder
from wsvad.training import cross_fit


class Camera:
    """Scores a video by how many were before it on the same camera."""

    def scores(self, bags, mode="whole"):
        return [np.full(2, {"whole": 0.0, "online": 0.5}[mode]) for _ in bags]

    def running(self, bags, scenes):
        return [np.full(2, number / 8) for number, _ in enumerate(bags)]


def test_what_normal_videos_score_on_a_running_camera_does_not_depend_on_abnormal_ones_between_them(monkeypatch):
    monkeypatch.setattr(cross_fit, "load_bags", lambda videos, *_: videos)
    monkeypatch.setattr(cross_fit, "keep_bags", lambda bags, memory: list(bags))
    videos = [SimpleNamespace(video=f"v{number}", label=number % 2) for number in range(6)]
    experiment = SimpleNamespace(fitting=SimpleNamespace(source=None, scored=None, check=None, memory=None), scenes={})
    found = cross_fit.by_mode(experiment, Camera(), videos)
    assert found["online"] == {
        "v0": [0.0, 0.0], "v2": [0.125, 0.125], "v4": [0.25, 0.25], "v1": [0.5] * 2, "v3": [0.5] * 2, "v5": [0.5] * 2,
    }  # fmt: skip
    assert set(found["whole"]) == set(found["online"])
    normal = cross_fit.by_mode(experiment, Camera(), videos[::2])
    assert normal["online"] == {name: found["online"][name] for name in ("v0", "v2", "v4")}


def run_under_way(tmp_path, scenes):
    videos = [
        LabelledVideo(name=f"v{i}", label=i % 2, category="fight" if i % 2 else "normal", split="train")
        for i in range(20)
    ]
    dataset = Dataset(name="d", videos=tuple(videos))
    return SimpleNamespace(dataset=dataset, seeds=range(1), scenes=scenes), SeedFolder(tmp_path)


def test_folds_are_divided_by_scene_and_stay_as_they_were_begun(tmp_path):
    scenes = {f"v{i}": i // 4 for i in range(20)}
    experiment, folder = run_under_way(tmp_path, scenes)
    found = cross_fit.divided(experiment, folder)
    assert sorted(map(sorted, found)) == sorted(sorted(f"v{4 * s + i}" for i in range(4)) for s in range(5))
    folder.write("folds", {"videos": found[::-1]})
    assert cross_fit.divided(experiment, folder) == found[::-1]


def test_folds_that_were_begun_before_scenes_were_known_go_on_as_they_were(tmp_path):
    experiment, folder = run_under_way(tmp_path, {f"v{i}": i // 4 for i in range(20)})
    before = folds(experiment.dataset.train, cross_fit.FOLDS, 0)
    folder.write("fold-0", {"whole": {}, "online": {}})
    assert cross_fit.divided(experiment, folder) == before
