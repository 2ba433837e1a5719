"""The package in `examples/plugin`, installed by pip and used as by any user: a method, an encoder, a dataset."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from places import ROOT

from wsvad.cli.main import main
from wsvad.encoders import build
from wsvad.errors import WsvadError
from wsvad.features.store import load, read_passport
from wsvad.methods import METHODS
from wsvad.registry import Registry


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder that pip installed the example into, offline; what pip builds beside the sources is not left there."""
    pytest.importorskip("setuptools", minversion="70", reason="the example is built by setuptools")
    source, target = tmp_path_factory.mktemp("example") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "examples" / "plugin", source)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


@pytest.fixture
def installed(site, monkeypatch):
    """As if it lay where Python looks."""
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("wsvad_example", None)


@pytest.fixture
def corridor(tmp_path) -> Path:
    """Six short clips of a dark corridor; in three of them a light goes on for some frames."""
    folder = tmp_path / "corridor"
    folder.mkdir()
    lines = []
    for number in range(6):
        frames, event = 80 + 16 * number, number % 2
        start, end = (32, 64) if event else (0, 0)
        images = [np.full((24, 32, 3), 200 if start <= f < end else 30, np.uint8) for f in range(frames)]
        write_clip(folder / f"v{number}.mp4", images)
        lines.append(f"v{number}.mp4 {'train' if number < 4 else 'test'} {frames} {start} {end}")
    (folder / "corridor.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.usefixtures("installed")
def test_a_plugins_encoder_method_and_dataset_make_a_run(corridor, tmp_path, capsys):
    features, run = tmp_path / "features", tmp_path / "run"
    assert main(["extract", str(corridor), "--rgb", "brightness", "--out", str(features), "--workers", "0"]) == 0
    rows = load(features / "rgb" / "v1.mp4.safetensors").features
    luma = [16 + grey * 219 / 255 for grey in (30, 30, 200, 200, 30, 30)]
    np.testing.assert_allclose(255 * rows, np.repeat(luma, 16).reshape(6, 16), atol=2)
    data = ["--features", str(features), "--out", str(run), "--hold-out", "0", "--normalise", "standardise"]
    assert main(["fit", f"corridor:{corridor}", "--method", "top-mean", "--config.top-every", "4", *data]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(corridor), "--features", str(features), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["auc"] == pytest.approx(1.0)
    told = json.loads((run / "model.json").read_text())
    assert (told["method"], told["config"], told["passports"]["rgb"]["encoder"]) == (
        "top-mean", {"top_every": 4}, "brightness",
    )  # fmt: skip


@pytest.fixture
def hall(corridor, tmp_path) -> Path:
    """The corridor as a folder of our own, without the official file."""
    folder = tmp_path / "hall"
    shutil.copytree(corridor, folder, ignore=shutil.ignore_patterns("*.txt"))
    labels, intervals = ["video,label,split"], ["video,start_frame,end_frame"]
    for line in (corridor / "corridor.txt").read_text().splitlines():
        name, split, _, start, end = line.split()
        labels.append(f"{name},{int(end != '0')},{split}")
        intervals += [f"{name},{start},{end}"] * (end != "0")
    (folder / "labels.csv").write_text("\n".join(labels))
    (folder / "intervals.csv").write_text("\n".join(intervals))
    return folder


@pytest.mark.usefixtures("installed")
def test_an_encoders_argument_that_is_no_file_stays_as_it_is_typed(hall, tmp_path, monkeypatch, capsys):
    """From `extract` to the command that `bench` prints, and also behind an encoder of ours."""
    monkeypatch.chdir(tmp_path)
    encoder, few = "motion+colour:hsv/8", ["--seeds", "1", "--iterations", "5", "--hold-out", "0"]
    assert main(["extract", "hall", "--rgb", encoder, "--out", "f", "--workers", "0"]) == 0
    passport = read_passport(tmp_path / "f" / "rgb" / "v1.mp4.safetensors")
    assert passport.encoder == encoder
    train = ["train", "hall", "--rgb", encoder, "--features", "f", "--out", "run", "--method", "mil", "--workers", "0"]
    assert main([*train, *few]) == 0
    assert json.loads((tmp_path / "run" / "model.json").read_text())["encoders"] == {"rgb": encoder}
    monkeypatch.chdir(hall)
    assert main(["score", "v5.mp4", "--model", "../run", "--out", "../scores"]) == 0
    monkeypatch.chdir(tmp_path)
    bench = ["bench", "--data", "hall", "--methods", "mil", "--rgb", encoder, *few, "--out", "b"]
    assert main(bench) == 0
    before = json.loads((tmp_path / "b" / "bench.json").read_text())
    words = shlex.split(before["cards"]["mil"]["command"])
    assert words[words.index("--rgb") + 1] == encoder
    shutil.rmtree("b")
    assert main(words[1:]) == 0
    after = json.loads((tmp_path / "b" / "bench.json").read_text())
    assert after["rows"][0]["metrics"] == before["rows"][0]["metrics"]
    capsys.readouterr()


@pytest.mark.usefixtures("installed")
def test_lists_name_what_plugins_bring(capsys):
    for verb, says in (("methods", "top-mean"), ("encoders", "colour:SPACE/BINS"), ("datasets", "corridor")):
        assert main([verb]) == 0
        assert says in capsys.readouterr().out
    assert build("brightness")[0].width == 16


def test_without_the_package_its_names_are_unknown(capsys):
    assert main(["train", ".", "--method", "top-mean"]) == 2
    assert "no method is called 'top-mean'; choose one of: dakd, mil" in capsys.readouterr().err


def test_the_contract_holds_for_a_plugin_without_being_told(site):
    """The contract tests find what is installed: those of the method, with its name in their own."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "src")])}
    command = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "contract" / "test_methods.py"), "-k", "top-mean"]
    done = subprocess.run([*command, "-p", "no:cacheprovider"], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 15


def distribution(folder: Path, *points: str) -> None:
    """An installed package of entry points alone."""
    place = folder / "odd-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[wsvad.methods]\n" + "\n".join(points) + "\n")


def test_a_plugin_takes_no_name_of_ours_and_a_broken_one_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "odd_module.py").write_text("1 / 0")
    distribution(
        tmp_path, "mil = odd_module:Mil", "odd = odd_module:Odd", "gone = nowhere_at_all:Gone", "less = json:Less"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert METHODS["mil"].__module__ == "wsvad.methods.mil"
    for name, says in (("odd", "ZeroDivisionError"), ("gone", "No module named"), ("less", "has no attribute 'Less'")):
        with pytest.raises(WsvadError, match=rf"method '{name}' comes from another package \(.*{says}.*uninstall it$"):
            METHODS[name]
    assert main(["train", ".", "--method", "odd"]) == 1
    assert "wsvad: method 'odd' comes from another package" in capsys.readouterr().err


def test_a_fault_of_our_own_is_not_blamed_on_others():
    with pytest.raises(ModuleNotFoundError):
        Registry("method", ours="wsvad.nowhere:Ours")["ours"]
