"""A run folder that was edited or damaged: one line that names the file, never an internal error."""

import dataclasses
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file

from wsvad.detection.calibration import Calibrations, NormalScores
from wsvad.errors import UsageError, WsvadError
from wsvad.files import sha256, write_json
from wsvad.methods import METHODS
from wsvad.methods.method import learns_from
from wsvad.methods.mil import Mil
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod, load_method, save_method
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import Scored
from wsvad.runs.sealed import sealed
from wsvad.runs.seed import SeedFolder

HOSTILE = [None, True, 1, -5, 1e308, "x", "../../etc/passwd", [1], {"a": 1}]
KEYS = ["method", "config", "widths", "normalisation", "encoders", "passports", "calibration", "window"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    statistics = {name: {"rgb": torch.ones(4)} for name in ("mean", "std")}
    save_method(
        tmp_path,
        TrainedMethod(
            name="mil",
            method=Mil({"rgb": 4}, Mil.config_class()),
            widths={"rgb": 4},
            normalisation=Normalisation(kinds={"rgb": "standardise"}, **statistics),
            encoders={"rgb": "motion"},
            passports={"rgb": {"encoder": "motion", "decoder": None, "width": 4}},
        ),
    )
    return tmp_path


@pytest.mark.parametrize("key", KEYS)
def test_any_value_in_a_model_is_refused_or_harmless(key, run):
    path = run / "model.json"
    good = json.loads(path.read_text())
    for value in HOSTILE:
        write_json(path, sealed(good | {key: value}))
        try:
            Calibrations.read(load_method(run).calibration, path)
        except WsvadError as error:
            assert str(run) in str(error) and "\n" not in str(error) and not isinstance(error, UsageError)
        else:
            assert (key, value) in [("window", 1), ("calibration", {"a": 1})]
    write_json(path, sealed({name: value for name, value in good.items() if name != key}))
    if key != "calibration":
        with pytest.raises(WsvadError, match=f"'{key}' is missing"):
            load_method(run)


def edit(run: Path, **changes: object) -> None:
    """Change a model's record, as somebody who knows its hash."""
    write_json(run / "model.json", sealed(json.loads((run / "model.json").read_text()) | changes))


WEIGHT = "method.layers.0.weight"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (WEIGHT, np.full((512, 4), np.nan, np.float32), "is not finite"),
        (WEIGHT, np.full((512, 4), np.inf, np.float32), "is not finite"),
        (WEIGHT, np.zeros((512, 5), np.float32), r"is \(512, 5\), the configuration needs \(512, 4\)"),
        (WEIGHT, None, r"is missing, the configuration needs \(512, 4\)"),
        ("normalisation.mean.rgb", np.ones(5, np.float32), "no mean of rgb, or of another width"),
        ("normalisation.std.rgb", None, "no std of rgb"),
        ("normalisation.std.rgb", np.zeros(4, np.float32), "standard deviations of rgb that are not above 0"),
        ("normalisation.std.rgb", np.full(4, -1, np.float32), "standard deviations of rgb that are not above 0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(name, value, says, run):
    tensors = load_file(run / "model.safetensors")
    name = name if name in tensors else next(one for one in tensors if tensors[one].shape == (512, 4))
    changed = {one: tensor for one, tensor in (tensors | {name: value}).items() if tensor is not None}
    save_file(changed, run / "model.safetensors")
    with pytest.raises(
        WsvadError, match=r"model\.safetensors: damaged, or not the weights that model\.json belongs to"
    ):
        load_method(run)
    edit(run, weights=sha256(run / "model.safetensors"))
    with pytest.raises(WsvadError, match=rf"model\.safetensors: does not fit model\.json \(.*{says}"):
        load_method(run)


@pytest.mark.parametrize(
    "change", [{"window": 5}, {"calibration": {"rules": {"low": 0.9}}}, {"more": 1}, {"sha256": ""}]
)
def test_a_model_that_was_edited_is_refused(change, run):
    record = json.loads((run / "model.json").read_text())
    assert load_method(run).window == 64
    (run / "model.json").write_text(json.dumps(record))  # laid out otherwise
    assert load_method(run).window == 64
    (run / "model.json").write_text(json.dumps(record | change))
    with pytest.raises(
        WsvadError, match=r"model\.json: was edited or damaged after it was written; copy the run again"
    ):
        load_method(run)


@pytest.mark.parametrize("change", [{"config": {"iterations": -math.inf}}, {"more": [math.inf]}])
def test_a_model_with_numbers_that_could_not_be_written_again_is_refused(change, run):
    record = json.loads((run / "model.json").read_text())
    record |= change
    (run / "model.json").write_text(json.dumps(sealed(record)))
    with pytest.raises(WsvadError, match=r"model\.json: damaged .* instead of a mapping with finite numbers"):
        RunFolder(run).write_thresholds({})


@pytest.mark.parametrize("key", ["sha256", "weights"])
def test_a_model_without_its_hash_is_believed_only_where_it_is_older(key, run):
    record = json.loads((run / "model.json").read_text())
    del record[key]
    (run / "model.json").write_text(json.dumps(record if key == "sha256" else sealed(record)))
    with pytest.raises(WsvadError, match=rf"model\.json: damaged \('{key}' is missing\)"):
        load_method(run)
    (run / "model.json").write_text(json.dumps({n: v for n, v in record.items() if n != "sha256"} | {"format": 3}))
    assert load_method(run).name == "mil"


BIG = [
    ({"widths": {"rgb": 10**6}}, "widths.rgb is 1000000 instead of from 1 to 131072"),
    ({"widths": {"rgb": 10**5}}, "the configuration needs (512, 100000)"),
    ({"config": {"hidden": [10**9, 10**9]}}, "the configuration needs (1000000000, 4)"),
]


@pytest.mark.parametrize(("change", "says"), BIG)
def test_a_network_larger_than_its_weights_is_never_built(change, says, run, monkeypatch):
    built = []
    real = Mil.__init__
    monkeypatch.setattr(Mil, "__init__", lambda self, *a: (real(self, *a), built.append(next(self.parameters())))[0])
    edit(run, **change)
    with pytest.raises(WsvadError) as error:
        load_method(run)
    assert says in str(error.value)
    assert all(weight.device.type == "meta" for weight in built)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_measured_without_memory(name):
    kind = METHODS[name]
    config = kind.config_class()
    with torch.device("meta"):
        method = kind(dict.fromkeys(learns_from(kind, config), 8), config)
    assert {value.device.type for value in method.state_dict().values()} == {"meta"}


def test_layers_without_end_are_not_built(run):
    config = UrDmuConfig(hidden=4, heads=2, feed_forward=4, abnormal_slots=1, normal_slots=1, head=2, depth=1)
    save_method(run, replace(load_method(run), name="ur-dmu", method=UrDmu({"rgb": 4}, config)))
    assert load_method(run).name == "ur-dmu"
    edit(run, config=dataclasses.asdict(config) | {"depth": 10**9})
    with pytest.raises(WsvadError, match="the configuration needs more weights than there are"):
        load_method(run)


CALIBRATION = {
    "threshold": 0.5, "false_alarms": 0, "hours": 1.0, "upper_bound_per_hour": 1.0, "budget_per_hour": 1.0,
    "confidence": 0.95, "promised": True, "mode": "whole", "fits": 5, "spread": 0.3, "sentence": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"threshold": 2}, "modes.whole.threshold is 2 instead of above 0 to 1.001"),
        ({"threshold": 1e308}, "modes.whole.threshold is 1e+308"),
        ({"threshold": True}, "modes.whole.threshold is True instead of a number"),
        ({"threshold": 0}, "modes.whole.threshold is 0"),
        ({"hours": -1.0}, "modes.whole.hours is -1.0"),
        ({"confidence": 7}, "modes.whole.confidence is 7"),
        ({"min_seconds": 1e30}, "rules.min_seconds is 1e+30 instead of from 0 to 86400"),
        ({"min_seconds": float("nan")}, "rules.min_seconds is nan"),
        ({"merge_seconds": -3}, "rules.merge_seconds is -3"),
        ({"low": 0}, "rules.low is 0"),
    ],
)
def test_a_calibration_that_would_report_nothing_is_refused(change, says, tmp_path):
    """Also of a run that has no hash."""
    of_rules = {name: value for name, value in change.items() if name not in CALIBRATION}
    whole = CALIBRATION | {name: value for name, value in change.items() if name in CALIBRATION}
    assert Calibrations.read({"rules": {}, "modes": {"whole": CALIBRATION}}, tmp_path).threshold("whole") == 0.5
    with pytest.raises(WsvadError) as error:
        Calibrations.read({"rules": of_rules, "modes": {"whole": whole}}, tmp_path / "model.json")
    assert says in str(error.value)


# -------------------------------------------------------------------------------------------------- the other files


MEAN = {"mean": 0.5, "std": 0.0, "values": [0.5]}
WHOLE = {
    "metrics.json": {
        "data": "x", "seeds": [0], "iterations": [1], "per_category": {},
        "selection": {"last": {"auc": MEAN, "ap": MEAN, "video_auc": MEAN}},
    },
    "calibration.json": {"fits": 1, "whole": [{"video": "a", "scores": [0.5], "times": [0.0, 1.0]}]},
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_numbers_that_a_run_remembers_are_those_of_its_weights(name, run):
    folder, trained = RunFolder(run), load_method(run)
    folder.finish(trained, metrics=WHOLE["metrics.json"], calibration=WHOLE["calibration.json"])
    record = json.loads((run / name).read_text())
    assert {key: value for key, value in READ[name](folder).items() if key != "weights"} == WHOLE[name]
    (run / name).write_text(json.dumps(record | {"data": "y", "fits": 3}))
    with pytest.raises(WsvadError, match=rf"{name}: was edited or damaged after it was written"):
        READ[name](folder)
    (run / name).write_text(json.dumps(sealed(record | {"weights": "0" * 64})))
    with pytest.raises(WsvadError, match=rf"model\.safetensors: damaged, or not the weights that {name} belongs to"):
        READ[name](folder)
    (run / name).write_text(json.dumps(WHOLE[name]))  # as an older version wrote it
    assert READ[name](folder) == WHOLE[name]


@pytest.mark.parametrize("key", ["auc", "ap", "video_auc"])
def test_a_metric_that_every_measurement_has_is_missed(key, run):
    last = {name: value for name, value in WHOLE["metrics.json"]["selection"]["last"].items() if name != key}
    (run / "metrics.json").write_text(json.dumps(WHOLE["metrics.json"] | {"selection": {"last": last}}))
    with pytest.raises(WsvadError, match=f"selection.last is .* instead of metrics with '{key}'"):
        RunFolder(run).read_metrics()


LAST = {"auc": 0.5, "ap": 0.5, "video_auc": 0.5}


def test_selections_have_the_same_metrics(run):
    selection = {"last": WHOLE["metrics.json"]["selection"]["last"]}
    selection["held_out"] = selection["last"] | {"far": MEAN}
    (run / "metrics.json").write_text(json.dumps(WHOLE["metrics.json"] | {"selection": selection}))
    with pytest.raises(WsvadError, match=r"selection is .* instead of the same metrics each"):
        RunFolder(run).read_metrics()


RESULT = {
    "seed": 0, "metrics": {"last": LAST, "held_out": None}, "per_category": {}, "per_category_ap": {},
    "iteration": None, "reconstruction": {}, "parameters": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "metrics, says",
    [
        ({"last": {"auc": 0.5, "ap": 0.5}}, "metrics.last is .* instead of metrics with 'video_auc'"),
        ({"last": LAST, "held_out": {"auc": 0.5}}, "metrics.held_out is .* instead of metrics with 'ap'"),
        ({"last": LAST | {"far": 0.1}, "held_out": LAST}, "metrics is .* instead of the same metrics each"),
        ({"last": None}, "metrics is .* instead of metrics of the last iteration"),
        ({"held_out": LAST}, "metrics is .* instead of metrics of the last iteration"),
    ],
)
def test_a_result_has_the_metrics_that_every_measurement_has(metrics, says, run):
    seed = SeedFolder(run)
    seed.write("result", RESULT)
    path = run / "result.json"
    path.write_text(json.dumps(sealed(json.loads(path.read_text()) | {"metrics": metrics})))
    with pytest.raises(WsvadError, match=says):
        seed.read("result")


@pytest.mark.parametrize(
    "text, says",
    [
        ("source: {folder: /v, extra: x}\nfeatures: f", "source is .* instead of a folder, and the files of its la"),
        ("source: {labels: l.csv}\nfeatures: f", "source is .* instead of a folder, and the files of its la"),
        ("source: {folder: /v}", "instead of settings with 'features' beside 'source'"),
        ("protocol: {first_seed: [1]}", "protocol.first_seed is .* instead of a whole number"),
        ("protocol: {first_seed: -1}", "protocol.first_seed is -1 instead of from 0 to 4294967295"),
        ("from_labels: 5", "from_labels is 5 instead of a list"),
    ],
)
def test_settings_that_nothing_can_be_done_with_are_named(text, says, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(WsvadError, match=rf"config\.yaml: .*{says}"):
        RunFolder(tmp_path).read_settings()


@pytest.mark.parametrize(
    "text",
    [
        "source: {}\nfeatures: ''",  # imported
        "source: {}",
        "source: {folder: 'msad:/v'}\nfeatures: f",
        "source: {folder: /v, labels: l.csv, intervals: i.csv}\nfeatures: f\nprotocol: {first_seed: 3, lr: x}",
    ],
)
def test_settings_that_runs_have_are_read(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    assert RunFolder(tmp_path).read_settings() == yaml.safe_load(text)


def test_a_result_is_that_of_the_seeds_weights(run):
    seed = SeedFolder(run)
    assert seed.write("result", RESULT)["metrics"] == RESULT["metrics"]
    path = run / "result.json"
    record = json.loads(path.read_text())
    for auc, says in ((0.6, "was edited or damaged"), (2147483648, "was edited or damaged")):
        path.write_text(json.dumps(record | {"metrics": {"last": LAST | {"auc": auc}}}))
        with pytest.raises(WsvadError, match=says):
            seed.read("result")
    path.write_text(json.dumps(RESULT | {"metrics": {"last": {"auc": 2147483648}}}))
    with pytest.raises(WsvadError, match=r"metrics\.last\.auc is 2147483648 instead of from 0 to 1"):
        seed.read("result")
    path.write_text(json.dumps(record))
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes() + b"x")
    with pytest.raises(WsvadError, match=rf"not the weights that result\.json belongs to; delete {run} and run again"):
        seed.read("result")


READ = {
    "config.yaml": RunFolder.read_settings,
    "metrics.json": RunFolder.read_metrics,
    "calibration.json": RunFolder.read_calibration,
    "fingerprint.json": RunFolder.fingerprint,
    "unfinished.json": RunFolder.split,
    "log.jsonl": RunFolder.read_log,
    "seed-0/timing.json": RunFolder.costs,
    **{
        f"seed-0/{name}.json": lambda run, name=name: SeedFolder(run.path / "seed-0").read(name)
        for name in ("held_out", "selection", "fit", "result", "fold-0")
    },
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("text", ['"x"', "[1]", '{"training": 1, "a": 1, "source": 1}', "[" * 5000, "\0", "9" * 5000])
def test_every_other_file_is_named(name, text, tmp_path):
    (tmp_path / "seed-0").mkdir()
    (tmp_path / name).write_text(text)
    with pytest.raises(WsvadError) as error:
        READ[name](RunFolder(tmp_path))
    assert str(tmp_path / name) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("videos", ["3", '["a", 1]', None, '["a", "b"]', "[" * 5000])
@pytest.mark.parametrize("scores", [np.zeros(2, np.float32), np.zeros(2, np.int32), np.full(2, np.nan, np.float32)])
def test_damaged_points_are_named(videos, scores, tmp_path):
    (tmp_path / "points").mkdir()
    metadata = None if videos is None else {"videos": videos}
    save_file({"scores.0": scores}, tmp_path / "points" / "000010.safetensors", metadata=metadata)
    with pytest.raises(WsvadError, match=r"000010\.safetensors: damaged"):
        SeedFolder(tmp_path).read_point(10)


def test_points_hold_the_numbers_that_were_written(tmp_path):
    seed = SeedFolder(tmp_path)
    seed.write_point(10, {"a": Scored(scores=np.array([0.5, 0.25], np.float32))})
    path = tmp_path / "points" / "000010.safetensors"
    assert seed.read_point(10)["a"].scores.tolist() == [0.5, 0.25]
    path.write_bytes(path.read_bytes()[:-4] + np.float32(0.75).tobytes())
    with pytest.raises(WsvadError, match=r"000010\.safetensors: damaged or missing \(other numbers than"):
        seed.read_point(10)


def test_scores_for_calibration_have_a_time_each():
    with pytest.raises(WsvadError, match=r"a\.mp4: 1 scores for calibration do not go with 3 times"):
        NormalScores(fits=1, curves={"whole": [("a.mp4", np.zeros(1), np.arange(3))]})


@pytest.mark.parametrize("what", ["pipe", "folder", "link", "circle"])
@pytest.mark.parametrize("name", ["model.json", "model.safetensors", *(name for name in READ if "timing" not in name)])
def test_only_files_of_the_run_are_opened(name, what, run):
    folder, path = run / "run", run / "run" / name
    save_method(folder, load_method(run))
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            (run / "elsewhere").write_text("[]")
            path.symlink_to(run / "elsewhere")
        case "circle":
            path.symlink_to(path)
    read = READ.get(name, RunFolder.load)
    with pytest.raises(WsvadError, match=rf"{path}: not a regular file of this folder; copy the run again"):
        read(RunFolder(folder))


def test_a_run_may_lie_behind_a_link(run):
    (run / "link").symlink_to(run)
    assert load_method(run / "link").name == "mil"
