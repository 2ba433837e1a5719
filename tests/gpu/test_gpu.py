"""What the CPU does is what a GPU does, up to rounding. The same code runs on the CPU in the other tests."""

import numpy as np
import pytest
import torch
from clips import scene, write_clip
from published_weights import write_weights

from wsvad.detection.detector import Detector
from wsvad.encoders import build
from wsvad.extraction.device import runs_on
from wsvad.extraction.extract import extract
from wsvad.features.store import load
from wsvad.methods.mil import MilConfig
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.training.protocol import Protocol
from wsvad.training.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use on this machine"),
]
TOLERANCE = 2e-3
"""Largest difference to the CPU, as a share of the largest number: convolutions may be computed in TF32."""


def tiny_clip_model(folder):
    from tiny_models import save

    save("clip", folder)
    return folder


@pytest.fixture(params=["i3d", "i3d-resnet", "s3d", "raft", "hf"])
def spec(request, tmp_path):
    if request.param == "hf":
        return f"hf:{tiny_clip_model(tmp_path / 'model')}"
    path = write_weights(tmp_path / "weights.safetensors", request.param)
    if request.param == "raft":
        path.with_name(path.name + ".yaml").write_text("size: [128, 128]\niterations: 2\nframes: 1")
    else:
        path.with_name(path.name + ".yaml").write_text("resize: [80, 72]\ncrop: 64\ncrops: 5")
    return f"{request.param}:{path}"


def videos(folder, count=3):
    folder.mkdir()
    rng = np.random.default_rng(0)
    return [
        (f"{n}.mp4", write_clip(folder / f"{n}.mp4", [scene(i, n % 2 == 1, rng) for i in range(40 + 16 * n)]))
        for n in range(count)
    ]


def test_features_are_those_of_the_cpu(spec, tmp_path):
    (encoder,) = build(spec)
    assert runs_on(encoder, "cuda")
    some = videos(tmp_path / "videos")
    for device in ("cpu", "cuda"):
        streams = {"rgb": spec, "flow": "motion"}
        assert not extract(some, streams, tmp_path / device, workers=2, device=device).failed
    for name, _ in some:
        one, other = (load(tmp_path / device / "rgb" / f"{name}.safetensors") for device in ("cpu", "cuda"))
        assert one.passport == other.passport
        assert np.abs(one.features - other.features).max() <= TOLERANCE * np.abs(one.features).max()


def test_a_batch_that_does_not_fit_is_halved(tmp_path):
    path = write_weights(tmp_path / "weights.safetensors", "i3d")
    (encoder,) = build(f"i3d:{path}")
    encoder.to(torch.device("cuda"))
    snippets = [np.full((16, 256, 340, 3), n, np.uint8) for n in range(8)]
    whole = encoder.encode(snippets)
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        np.testing.assert_allclose(encoder.encode(snippets), whole, rtol=1e-3, atol=1e-4)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize(("method", "config"), [("mil", MilConfig()), ("ur-dmu", UrDmuConfig())])
def test_training_and_scoring_run_there(tmp_path, method, config):
    some = videos(tmp_path / "videos", 8)
    rows = "".join(f"{name},{n % 2},,{'train' if n < 6 else 'test'}\n" for n, (name, _) in enumerate(some))
    (tmp_path / "videos" / "labels.csv").write_text("video,label,category,split\n" + rows)
    protocol = Protocol(budget="data", normalise="standardise", device="cuda", iterations=20)
    train(
        tmp_path / "videos",
        tmp_path / "run",
        streams={"rgb": "motion"},
        method=method,
        config=config,
        protocol=protocol,
    )
    scores = [Detector.load(tmp_path / "run", device=device).score(some[0][1]).scores for device in ("cpu", "cuda")]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
