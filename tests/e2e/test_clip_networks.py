"""From a video to crops in a feature file, through the command line."""

import json
from pathlib import Path

import numpy as np
from clips import write_clip
from onnx import numpy_helper
from published_weights import write_weights
from small_networks import WEIGHTS, onnx_network

from wsvad.cli.main import main
from wsvad.encoders import build
from wsvad.features.store import feature_path, load
from wsvad.video.reader import VideoReader


def test_a_video_becomes_crops_of_i3d(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    videos = tmp_path / "videos"
    videos.mkdir()
    random = np.random.default_rng(0)
    write_clip(videos / "a.mp4", list(random.integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)))
    write_weights(tmp_path / "rgb_imagenet.pt", "i3d")
    (tmp_path / "rgb_imagenet.pt.yaml").write_text("resize: [48, 40]\ncrop: 32\ncrops: 5\norder: extractor")
    assert main(["extract", "videos", "--rgb", "i3d:rgb_imagenet.pt", "--workers", "0", "--out", "features"]) == 0
    stored = load(feature_path(tmp_path / "features", "rgb", "a.mp4"))
    assert stored.features.shape == (5, 2, 1024)
    assert json.loads(json.dumps(stored.passport.settings))["order"] == "extractor"
    (encoder,) = build("i3d:rgb_imagenet.pt")
    with VideoReader(videos / "a.mp4") as video:
        pictures = [encoder.sampling.fit(frame.array(None, "rgb")) for frame in video]
    last = [16 + offset for offset in encoder.sampling.offsets(4)]
    wanted = encoder.encode([np.stack(pictures[:16]), np.stack([pictures[i] for i in last])])
    np.testing.assert_allclose(stored.features.astype(np.float32), wanted.transpose(1, 0, 2), rtol=1e-3, atol=1e-5)


def test_a_run_says_which_network_it_needs_where_that_is_gone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(onnx_network(numpy_helper.from_array(WEIGHTS[:, :, None, None], "w")))
    random = np.random.default_rng(0)
    for name in ("normal/a.mp4", "normal/b.mp4", "fight/c.mp4", "fight/d.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, list(random.integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)))
    fit = ["--method", "mil", "--iterations", "2", "--bags", "2", "--hold-out", "0", "--workers", "0", "--out", "run"]
    assert main(["train", "videos", "--rgb", "onnx:net.onnx", *fit]) == 0
    score = ["score", "videos/fight/c.mp4", "--model", "run", "--out", "scores"]
    Path("net.onnx").rename("moved.onnx")
    capsys.readouterr()
    assert main(score) == 1
    said = f"run was trained with 'onnx:{tmp_path / 'net.onnx'}' for rgb, which has to be there as it was"
    assert said in capsys.readouterr().err
    Path("net.onnx").symlink_to("moved.onnx")
    assert main(score) == 0
