"""Cross-fitting: what scores of normal videos come from, and what they must not depend on."""

from types import SimpleNamespace

import numpy as np

from wsvad.training import cross_fit


class Camera:
    """Scores a video by how many were before it on the same camera."""

    def scores(self, bags, mode="whole"):
        return [np.full(2, {"whole": 0.0, "online": 0.5}[mode]) for _ in bags]

    def running(self, bags):
        return [np.full(2, number / 8) for number, _ in enumerate(bags)]


def test_what_normal_videos_score_on_a_running_camera_does_not_depend_on_abnormal_ones_between_them(monkeypatch):
    monkeypatch.setattr(cross_fit, "load_bags", lambda videos, *_: videos)
    monkeypatch.setattr(cross_fit, "keep_bags", list)
    videos = [SimpleNamespace(video=f"v{number}", label=number % 2) for number in range(6)]
    experiment = SimpleNamespace(fitting=SimpleNamespace(source=None, scored=None, check=None))
    found = cross_fit.by_mode(experiment, Camera(), videos)
    assert found["online"] == {
        "v0": [0.0, 0.0], "v2": [0.125, 0.125], "v4": [0.25, 0.25], "v1": [0.5] * 2, "v3": [0.5] * 2, "v5": [0.5] * 2,
    }  # fmt: skip
    assert set(found["whole"]) == set(found["online"])
    normal = cross_fit.by_mode(experiment, Camera(), videos[::2])
    assert normal["online"] == {name: found["online"][name] for name in ("v0", "v2", "v4")}
