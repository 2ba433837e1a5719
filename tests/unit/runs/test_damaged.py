"""A run folder that was edited or damaged: one line that names the file, never an internal error."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from wsvad.detection.calibration import Calibrations, NormalScores
from wsvad.errors import UsageError, WsvadError
from wsvad.methods.mil import Mil
from wsvad.runs.folder import RunFolder, SeedFolder
from wsvad.runs.model import TrainedMethod, load_method, save_method
from wsvad.runs.normalisation import Normalisation

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
        path.write_text(json.dumps(good | {key: value}))
        try:
            Calibrations.read(load_method(run).calibration, path)
        except WsvadError as error:
            assert str(run) in str(error) and "\n" not in str(error) and not isinstance(error, UsageError)
        else:
            assert (key, value) in [("window", 1), ("calibration", {"a": 1})]
    path.write_text(json.dumps({name: value for name, value in good.items() if name != key}))
    if key != "calibration":
        with pytest.raises(WsvadError, match=f"'{key}' is missing"):
            load_method(run)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method.layers.0.weight", torch.full((512, 4), torch.nan)),
        ("normalisation.mean.rgb", torch.ones(5)),
        ("normalisation.std.rgb", None),
    ],
)
def test_weights_that_do_not_fit_are_refused(name, value, run):
    from safetensors.torch import load_file, save_file

    tensors = load_file(run / "model.safetensors")
    name = name if name in tensors else next(one for one in tensors if one.startswith("method."))
    tensors[name] = torch.full_like(tensors[name], torch.nan) if name.startswith("method.") else value
    save_file({one: tensor for one, tensor in tensors.items() if tensor is not None}, run / "model.safetensors")
    with pytest.raises(WsvadError, match=r"model\.safetensors: does not fit"):
        load_method(run)


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
    (tmp_path / "points" / "9x.safetensors").write_text("")
    assert SeedFolder(tmp_path).points() == [10]
    with pytest.raises(WsvadError, match=r"000010\.safetensors: damaged"):
        SeedFolder(tmp_path).read_point(10)


def test_scores_for_calibration_have_a_time_each():
    with pytest.raises(WsvadError, match=r"a\.mp4: 1 scores for calibration do not go with 3 times"):
        NormalScores(fits=1, curves={"whole": [("a.mp4", np.zeros(1), np.arange(3))]})
