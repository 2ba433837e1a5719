"""`--method auto` through the command line: compared, chosen, recorded, trained as if it had been named, resumed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from clips import write_clip

from wsvad import WsvadError, train
from wsvad.cli.main import main
from wsvad.methods.linear import Linear
from wsvad.runs.folder import RunFolder
from wsvad.training import auto
from wsvad.training.fitting import Fitting
from wsvad.training.protocol import Protocol

TRAINED, TESTED, FRAMES = 12, 2, 48
OPTIONS = ["--rgb", "motion", "--iterations", "2", "--points", "1", "--segments", "3", "--bags", "2", "--workers", "0"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Clips of noise; something bright crosses the abnormal ones."""
    folder, rng = tmp_path_factory.mktemp("auto") / "videos", np.random.default_rng(0)
    folder.mkdir()
    rows = ["video,label,split"]
    for number in range(TRAINED + TESTED):
        images = rng.integers(40, 60, (FRAMES, 24, 32, 3)).astype(np.uint8)
        for i in range(16, 32) if number % 2 else ():
            images[i, 8:16, i - 16 : i - 8] = 220
        write_clip(folder / f"v{number}.mp4", list(images))
        rows.append(f"v{number}.mp4,{number % 2},{'train' if number < TRAINED else 'test'}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(autouse=True)
def two(monkeypatch):
    """Two candidates, for time's sake."""
    monkeypatch.setattr(auto, "BY_COST", ("linear", "ur-dmu"))
    monkeypatch.setattr(auto, "FOLDS", 2)


@pytest.fixture
def fits(monkeypatch) -> list[str]:
    """The tasks of all fits."""
    done, fit = list[str](), Fitting.fit
    monkeypatch.setattr(
        Fitting, "fit", lambda self, *a, **k: (done.append(a[4] if len(a) > 4 else k["task"]), fit(self, *a, **k))[1]
    )
    return done


def command(videos: Path, out: Path, method: str = "auto", *more: str) -> list[str]:
    features = videos.parent / "features"
    return ["train", str(videos), "--method", method, "--out", str(out), "--features", str(features), *OPTIONS, *more]


def settings(out: Path) -> dict:
    return yaml.safe_load((out / "config.yaml").read_text())


def test_it_compares_chooses_records_and_resumes(videos, tmp_path, capsys, fits, monkeypatch):
    out, named = tmp_path / "auto", tmp_path / "named"

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as one:
        one.setattr(auto, "best_of", stopped)
        assert main(command(videos, out)) != 0
    first = [task for task in fits if task.startswith("auto")]
    assert first == [f"auto: {name}, fold {fold}" for name in ("linear", "ur-dmu") for fold in (1, 2)]

    capsys.readouterr()
    fits.clear()
    assert main(command(videos, out)) == 0
    assert fits and not [task for task in fits if task.startswith("auto")]
    said, asked = " ".join(capsys.readouterr().err.split()), settings(out)
    assert (
        "--method auto compares 2 methods, each fitted 2 times to a part of the training videos, 4 fits in all" in said
    )
    assert "takes about" not in said  # those fits were there
    assert [one["method"] for one in asked["auto"]["tried"]] == ["linear", "ur-dmu"]
    assert asked["method"] in ("linear", "ur-dmu") and asked["auto"]["why"].startswith(f"{asked['method']} is chosen: ")
    assert asked["auto"]["why"] in said and asked["auto"]["why"] in (out / "report.html").read_text()
    for one in asked["auto"]["tried"]:
        assert 0 <= one["video_auc"]["low"] <= one["video_auc"]["value"] <= one["video_auc"]["high"] <= 1
        assert said.count(f"{one['method']}: video AUC") == 1
        assert f"{one['method']}: video AUC" in (out / "report.html").read_text()

    # A file that was edited is said, not taken for a method that fails.
    kept = out / "auto" / "linear-0.json"
    text = kept.read_text()
    kept.write_text(text.replace('"seconds": ', '"seconds": 1'))
    assert main(command(videos, out)) == 1
    assert str(kept) in capsys.readouterr().err
    kept.write_text(text)

    # As if it had been named.
    assert main(command(videos, named, asked["method"])) == 0
    assert (out / "model.safetensors").read_bytes() == (named / "model.safetensors").read_bytes()
    assert "auto" not in settings(named)
    capsys.readouterr()
    assert main(command(videos, out, asked["method"])) == 1
    assert f"the run there has another 'method' (auto, now {asked['method']})" in capsys.readouterr().err


def test_other_videos_and_a_method_that_fails(videos, tmp_path, capsys, fits, monkeypatch):
    folder, out = tmp_path / "videos", tmp_path / "run"
    shutil.copytree(videos, folder)
    shutil.copytree(videos.parent / "features", tmp_path / "features", dirs_exist_ok=True)
    with monkeypatch.context() as one:
        one.setattr(auto, "best_of", lambda tried: auto.Choice(method="linear", why="linear is chosen.", tried=tried))
        assert main(command(folder, out)) == 0 and settings(out)["method"] == "linear"

    # A training video less: all is compared again; and one of the methods cannot be fitted.
    def broken(self):
        raise WsvadError("the loss is not a number")

    monkeypatch.setattr(Linear, "phases", broken)
    labels = (folder / "labels.csv").read_text()
    (folder / "labels.csv").write_text(labels.replace("v0.mp4,0,train", "v0.mp4,0,test"))
    capsys.readouterr()
    assert main(command(folder, out)) == 0
    said, asked = " ".join(capsys.readouterr().err.split()), settings(out)
    assert asked["auto"]["tried"][0] == {"method": "linear", "failed": "the loss is not a number"}
    assert "ur-dmu takes about" in said and "linear: not fitted, the loss is not a number" in said
    assert asked["method"] == "ur-dmu" and "method auto chooses ur-dmu (linear before)" in said
    assert RunFolder(out).load().name == "ur-dmu"


def test_of_too_few_videos_nothing_is_compared(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(auto, "FEWEST", TRAINED)
    quick = Protocol(iterations=1, points=1, segments=3, bags=2, budget="data", normalise="standardise", hold_out=0)
    features = videos.parent / "features"
    train(
        videos, tmp_path / "run", method="auto", streams={"rgb": "motion"}, protocol=quick, features=features, workers=0
    )
    asked = settings(tmp_path / "run")
    assert asked["method"] == "ur-dmu" and asked["auto"]["tried"] == []
    assert asked["auto"]["why"].startswith(f"ur-dmu is taken, the default: with fewer than {TRAINED} training videos")


def test_what_is_of_one_method_is_refused(videos, tmp_path, capsys):
    for option, said in (
        (["--config.lr", "1"], "--config is of one method; name it instead of --method auto"),
        (["--modalities", "pose"], "--modalities is not for a method that is chosen (--method auto); leave it out"),
        (["--teacher", str(tmp_path)], "--teacher is not for a method that is chosen (--method auto); leave it out"),
    ):
        assert main(command(videos, tmp_path / "run", "auto", *option)) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(WsvadError, match="method 'auto' takes no config; name a method to configure it"):
        train(videos, tmp_path / "run", method="auto", config=Protocol())
    assert (
        main(["fit", str(videos), "--method", "auto", "--features", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    )
    assert "no method is called 'auto'" in capsys.readouterr().err
