"""Configurations on the command line: defaults < files < single fields, for one method and for several."""

import dataclasses
import shlex
from typing import Any

import pytest

from wsvad.cli.parser import arguments_of
from wsvad.cli.verbs import VERBS
from wsvad.errors import UsageError
from wsvad.methods import METHODS
from wsvad.methods.dakd import DakdConfig
from wsvad.methods.method import default_config
from wsvad.methods.mil import MilConfig
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.methods.refinevad import RefineVadConfig
from wsvad.methods.rtfm import RtfmConfig
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.runs.folder import RunFolder
from wsvad.studies.ablate import ablation, configured


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "one.yaml": "lr: 1e-3\nhidden: 64\nlocal-norm: row\n",
        "two.yaml": "ur-dmu:\n  hidden: 32\n  dropout: 0\n",
        "several.yaml": "mil: {lr: 0.5}\npi-vad: {profile: light, ur_dmu: {lr: 0.01, heads: 2}, modalities: [pose]}\n",
        "off.yaml": "core: off\nadd-truth: no\nstreams: [rgb, text]\nfinal-lr: 0\n",
        "lr=1": "lr: 0.25\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)


def arguments(line: str) -> dict[str, Any]:
    verb, *words = shlex.split(line)
    return arguments_of(VERBS[verb], words)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("", {}),
        ("--config.lr 0.5", {"lr": 0.5}),
        ("--config.lr=0.5 --config.local_norm row", {"lr": 0.5, "local_norm": "row"}),
        ("--config lr=0.5 --config ur-dmu.hidden=8 --config.ur_dmu.depth 1", {"lr": 0.5, "hidden": 8, "depth": 1}),
        ("--config one.yaml", {"lr": 1e-3, "hidden": 64, "local_norm": "row"}),
        ("--config.lr 0.5 --config one.yaml", {"lr": 0.5, "hidden": 64, "local_norm": "row"}),
        ("--config one.yaml --config two.yaml", {"lr": 1e-3, "hidden": 32, "local_norm": "row", "dropout": 0.0}),
        ("--config=two.yaml --config lr=0.5 --config lr=0.125", {"lr": 0.125, "hidden": 32, "dropout": 0.0}),
        ("--config lr=1", {"lr": 0.25}),  # a file of that name
        ("--config.streams rgb,audio", {"streams": ("rgb", "audio")}),
        ("--config.streams=audio --config streams=[rgb,audio]", {"streams": ("rgb", "audio")}),
        ("--config streams=audio", {"streams": ("audio",)}),
    ],
)
def test_single_fields_go_before_files_and_those_before_defaults(words, fields):
    assert arguments(f"train v {words}")["config"] == dataclasses.replace(default_config(UrDmuConfig, "data"), **fields)


def test_a_field_says_what_a_value_in_a_file_is():
    config = arguments("train v --method refinevad --config off.yaml")["config"]
    assert (config.core, config.add_truth, config.streams, config.final_lr) == ("off", False, ("rgb", "text"), 0.0)


@pytest.mark.parametrize(
    "config",
    [
        MilConfig(lr=0.5, hidden=(8, 4)),
        PiVadConfig(profile="light", modalities=("pose",), ur_dmu=UrDmuConfig(lr=0.02, heads=2)),
        DakdConfig(backbones=("rgb", "flow"), test="native"),
        RefineVadConfig(streams=("rgb", "text"), final_lr=0.0, core="off"),
        RtfmConfig(hidden=8),
        UrDmuConfig(streams=("rgb", "audio")),
    ],
)
def test_the_settings_of_a_run_are_its_configuration(config, tmp_path):
    method = next(name for name in METHODS if METHODS[name].config_class is type(config))
    settings = {"wsvad": "0.1.0", "method": method, "config": dataclasses.asdict(config), "protocol": {"seeds": 3}}
    RunFolder(tmp_path).write_made(settings)
    assert arguments(f"train v --method {method} --config config.yaml")["config"] == config
    assert arguments(f"bench --data d --methods {method} --config config.yaml")["configs"][method] == config


def test_categories_that_a_run_took_from_its_labels_are_not_of_its_configuration(tmp_path):
    fields = {"categories": ["fight"], "lr": 0.25}
    settings = {"method": "refinevad", "config": fields, "protocol": {}, "from_labels": ["categories"]}
    RunFolder(tmp_path).write_made(settings)
    config = arguments("train v --method refinevad --config config.yaml")["config"]
    assert (config.categories, config.lr) == ((), 0.25)


def test_several_methods_have_a_configuration_each():
    line = "bench --data d --methods 'mil, pi-vad,dakd' --config several.yaml --config pi-vad.ur-dmu.lr=0.02"
    configs = arguments(f"{line} --config.mil.margin 2")["configs"]
    assert list(configs) == ["mil", "pi-vad", "dakd"]
    assert configs["mil"] == MilConfig(lr=0.5, margin=2.0, **MilConfig.data_budget)
    network = UrDmuConfig(lr=0.02, heads=2)
    assert configs["pi-vad"] == PiVadConfig(
        profile="light", modalities=("pose",), ur_dmu=network, **PiVadConfig.data_budget
    )
    assert configs["dakd"] == DakdConfig(test="native")  # that of the budget `data`
    with pytest.raises(UsageError, match=r"several\.yaml: pi-vad: no method here is 'pi-vad'"):
        arguments("bench --data d --methods mil,dakd --config several.yaml")


@pytest.mark.parametrize("verb", ["fit v --features f", "train v"])
def test_the_budget_that_is_asked_for_takes_its_readings(verb):
    line = f"{verb} --method refinevad --budget"
    assert arguments(f"{line} paper")["config"].attention == "pooled"
    assert arguments(f"{line} data")["config"].attention == "segment"
    assert arguments(f"{line} paper --config.attention segment")["config"].attention == "segment"
    assert arguments(f"{verb} --method dakd --budget paper")["config"].test == "segments"
    assert arguments(f"{verb} --method dakd --budget data")["config"].test == "native"


def test_a_table_may_have_rows_of_other_methods():
    line = "ablate --table gain dakd --data d --config.backbones [rgb,flow] --config mil.lr=0.5"
    configs = arguments(line)["configs"]
    assert list(configs) == ["dakd", "mil"] and configs["dakd"].backbones == ("rgb", "flow")
    table = configured(ablation("dakd", "gain"), configs["dakd"], {"mil": configs["mil"]}, "data")
    alone = [row.config for row in table.rows(configs["dakd"]) if row.method == "mil"]
    assert alone == [MilConfig(stream="rgb", lr=0.5), MilConfig(stream="flow", lr=0.5)]
    # The network of π-VAD's teacher is a field of its own configuration, so that both are of one size.
    of_teacher = arguments("ablate pi-vad --table 3 --data d --config ur-dmu.lr=0.5")["configs"]
    assert list(of_teacher) == ["pi-vad"] and of_teacher["pi-vad"].ur_dmu.lr == 0.5
