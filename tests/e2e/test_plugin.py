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
from alerts import alert
from clips import write_clip
from places import ROOT

from wsvad.cli.main import main
from wsvad.datasets.open import recognise
from wsvad.encoders import build
from wsvad.errors import UsageError, WsvadError
from wsvad.features.store import load, read_passport
from wsvad.methods import METHODS
from wsvad.registry import Registry
from wsvad.sinks.sink import make


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


@pytest.mark.usefixtures("installed")
def test_a_plugins_sink_gets_alerts(tmp_path):
    lamp = make("lamp", {"type": "relay", "path": str(tmp_path / "lamp")})
    for state, light in (("start", "1"), ("end", "0")):
        lamp.deliver(alert("e1", state))
        assert (tmp_path / "lamp").read_text() == light
    with pytest.raises(UsageError, match=r"sink 'lamp': 'pat' is not known; did you mean path\?"):
        make("lamp", {"type": "relay", "pat": "x"})


def test_without_the_package_its_names_are_unknown(capsys):
    assert main(["train", ".", "--method", "top-mean"]) == 2
    assert "no method is called 'top-mean'; choose one of: dakd, linear, mil" in capsys.readouterr().err


def test_the_contract_holds_for_a_plugin_without_being_told(site):
    """The contract tests find what is installed: those of the method and of the sink, with its name in their own."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT / "src")])}
    tests = [str(ROOT / "tests" / "contract" / f"test_{what}.py") for what in ("methods", "sinks")]
    command = [sys.executable, "-m", "pytest", *tests, "-k", "top-mean or relay"]
    done = subprocess.run([*command, "-p", "no:cacheprovider"], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split(" passed")[0].split()[-1]) > 19


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


ODD = '''
import torch
from wsvad.encoders.motion import Motion
from wsvad.methods.mil import Mil


class NoTotal(Mil):
    def loss(self, batch):
        return {"bce": super().loss(batch)["total"]}


class Crops(Mil):
    def forward(self, streams):
        x = streams["rgb"]
        return super().forward({"rgb": x}) if x.ndim == 3 else x.sigmoid().mean(-1)


class First(Mil):
    def forward(self, streams):
        return super().forward({name: x if x.ndim == 3 else x[:, 0] for name, x in streams.items()})


class Above(Mil):
    def forward(self, streams):
        return 2.5 + 0 * super().forward(streams)


class Late(Mil):
    """It scores well until it has learned."""

    def forward(self, streams):
        scores = super().forward(streams)
        return scores if self.training or streams["rgb"].shape[-2] <= 5 else scores / 0


class Bug(Mil):
    def phases(self):
        return [{}["phase"]]


class L3(Mil):
    normalisation = "l3"


class Bare(torch.nn.Module):
    learns_from = runs_on = ("rgb",)


class Narrow(Motion):
    def passport(self):
        return {**super().passport(), "width": 3}


class Careless(Motion):
    def encode(self, snippets):
        return snippets[0]["x"]
'''


@pytest.fixture
def odd(tmp_path, monkeypatch) -> None:
    """A package whose methods and encoders break their word, each in its own way."""
    (tmp_path / "odd_module.py").write_text(ODD)
    methods = ("NoTotal", "Crops", "First", "Above", "Late", "Bug", "L3", "Bare")
    distribution(tmp_path, *(f"{name.lower()} = odd_module:{name}" for name in methods))
    points = "".join(f"{name.lower()} = odd_module:{name}\n" for name in ("Narrow", "Careless"))
    with (tmp_path / "odd-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write(f"[wsvad.encoders]\n{points}[wsvad.datasets]\nnone = odd_module:Bare\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("odd_module", None)


@pytest.mark.usefixtures("odd")
def test_a_mistake_of_a_plugin_is_told_by_its_name_and_what_is_missing(hall, tmp_path, capsys):
    features = str(tmp_path / "features")
    assert main(["extract", str(hall), "--rgb", "motion", "--out", features, "--workers", "0"]) == 0
    capsys.readouterr()
    remedy = "; correct it as wsvad.methods.method says"
    shape = "for streams of 2 videos, 3 crops and 5 snippets have shape (2, 3, 5), not (2, 5); crops are to be averaged"
    for name, says in (
        ("nototal", f": its loss has no 'total', only bce; add their sum under that name{remedy}"),
        ("crops", f": its scores {shape}{remedy}"),
        ("first", f": the score of several crops is not the mean of their scores; average it over the crops{remedy}"),
        ("above", f": its scores reach from 2.5 to 2.5, not from 0 to 1{remedy}"),
        ("late", f": its scores reach from inf to inf, not from 0 to 1{remedy}"),
        ("l3", f": its normalisation is 'l3', not none or l2 or standardise{remedy}"),
        ("bare", " has no normalisation, config_class, phases; fix that package, or uninstall it"),
        ("bug", "an error in odd 1.0, which is another package: KeyError: 'phase' (--debug shows where)"),
    ):  # fmt: skip
        options = ["--hold-out", "0", "--iterations", "2", "--out", str(tmp_path / name)]
        assert main(["fit", str(hall), "--features", features, "--method", name, *options]) == 1
        whose = f"method '{name}' of odd 1.0" if name != "bug" else ""
        assert capsys.readouterr().err.splitlines()[-1] == f"wsvad: {whose}{says}"
    assert main(["extract", str(hall), "--rgb", "narrow", "--out", str(tmp_path / "n"), "--workers", "0"]) == 1
    says = "wsvad: encoder 'narrow' of odd 1.0 is 304 wide, but 3 by its passport; fix that package"
    assert capsys.readouterr().err.splitlines()[-1] == says
    assert main(["extract", str(hall), "--rgb", "careless", "--out", str(tmp_path / "c"), "--workers", "0"]) == 1
    assert "leave it out and report this to odd 1.0" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("odd")
def test_what_cannot_be_used_is_left_out_of_lists_and_searches(hall, capsys):
    for verb, ours in (("methods", "ur-dmu"), ("datasets", "ucf-crime")):
        assert main([verb]) == 0
        said = capsys.readouterr()
        assert ours in said.out and "bare" not in said.out
        assert "of odd 1.0 has no " in said.err and said.err.startswith("left out: ")
    assert recognise(hall) is None
    assert "bare" not in [name for name, _ in METHODS.working()]


@pytest.mark.usefixtures("installed")
def test_a_run_knows_the_packages_that_it_came_from(hall, tmp_path, monkeypatch, capsys):
    small = ["--iterations", "2", "--hold-out", "0", "--workers", "0", "--out", str(tmp_path / "run")]
    train = ["train", str(hall), "--method", "top-mean", "--rgb", "motion+colour:lab/4", *small]
    assert main(train) == 0
    record = json.loads((tmp_path / "run" / "model.json").read_text())
    whose = {"method top-mean": "wsvad-example 0.1.0", "encoder colour": "wsvad-example 0.1.0"}
    assert record["plugins"] == whose
    monkeypatch.setattr("wsvad.registry._points_of", lambda kind, path: [])
    capsys.readouterr()
    assert main(["score", str(hall / "v1.mp4"), "--model", str(tmp_path / "run"), "--out", str(tmp_path)]) == 1
    missing = "method top-mean comes from wsvad-example 0.1.0, which is not installed; install it"
    assert capsys.readouterr().err == f"wsvad: {tmp_path / 'run' / 'model.json'}: {missing}\n"
