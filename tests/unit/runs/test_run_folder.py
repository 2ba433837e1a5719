"""A run folder: claimed by one command, whole or not finished, and never believed for other data."""

import dataclasses
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import UsageError, WsvadError
from wsvad.features.source import Store
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.files import write_json
from wsvad.methods.mil import Mil, MilConfig
from wsvad.runs import folder as module
from wsvad.runs.fingerprint import Changes, changes
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import Scored
from wsvad.runs.seed import SeedFolder
from wsvad.video.clock import SnippetClock

SETTINGS = {"data": "set", "method": "mil", "config": {"lr": 0.1, "hidden": [4, 2]}, "protocol": {"seeds": 1}}
VIDEO = {"label": 0, "category": "normal", "content": {"rgb": "a"}}
TESTED = VIDEO | {"frames": 32, "intervals": [], "events": None}
FINGERPRINT = {
    "training": {"n": VIDEO, "a": VIDEO | {"label": 1, "category": "fall"}},
    "test": {"t": TESTED},
    "features": {"rgb": {"encoder": "test", "decoder": None}},
    "teacher": None,
    "core": None,
}


def trained() -> TrainedMethod:
    method = Mil({"rgb": 3}, MilConfig(hidden=(4, 2)))
    return TrainedMethod(name="mil", method=method, widths={"rgb": 3}, normalisation=Normalisation(kinds={"rgb": "l2"}))


def other(**parts):
    return json.loads(json.dumps(FINGERPRINT)) | parts


# ------------------------------------------------------------------------------------------------- fingerprints


def test_nothing_has_changed():
    assert changes(FINGERPRINT, json.loads(json.dumps(FINGERPRINT))) == Changes()


@pytest.mark.parametrize(
    ("now", "training", "tested", "truth", "sentence"),
    [
        (other(teacher="x"), True, False, False, "the teacher has changed"),
        (other(features={"rgb": {"encoder": "b"}}), True, False, False, "the rgb features are made differently"),
        (
            other(training={"a": VIDEO | {"label": 1, "category": "fall"}, "n": VIDEO}), True, False, False,
            "the training videos are listed in a different order",
        ),
        (other(test={}), False, False, True, "1 test video removed: t"),
        (other(test={"t": TESTED, "u": TESTED}), False, True, False, "1 test video added: u (normal)"),
        (
            other(test={"t": TESTED | {"frames": 48, "label": 1}}), False, False, True,
            "1 test video changed: t (label 0 → 1, frames 32 → 48)",
        ),
        (other(test={"t": TESTED | {"content": {"rgb": "b"}}}), False, True, False, "1 test video replaced: t"),
        (
            other(training={f"n{i}": VIDEO for i in range(6)} | FINGERPRINT["training"]), True, False, False,
            "6 training videos added: n0 (normal), n1 (normal), n2 (normal) and 3 more",
        ),
    ],
)  # fmt: skip
def test_what_has_changed_is_told_with_what_it_concerns(now, training, tested, truth, sentence):
    found = changes(FINGERPRINT, now)
    assert (found.training, found.tested, found.truth) == (training, tested, truth)
    assert sentence in found.sentences


# ------------------------------------------------------------------------------------------------- claims


def test_another_command_is_refused_with_what_differs(tmp_path):
    run = RunFolder(tmp_path)
    run.claim(SETTINGS, FINGERPRINT)
    run.claim(SETTINGS | {"features": "elsewhere", "source": {"folder": "moved"}}, FINGERPRINT)
    for changed, message in (
        (SETTINGS | {"method": "rtfm"}, r"another 'method' \(mil, now rtfm\)"),
        (SETTINGS | {"method": ["x"] * 999}, r"another 'method' \(mil, now \['x', .{40,60}… 'x', 'x', 'x', 'x'\]\)"),
        (SETTINGS | {"config": {"lr": 0.2, "hidden": [4, 2]}}, r"another 'config' \(lr: 0.1, now 0.2\)"),
        (SETTINGS | {"teacher": "runs/teacher"}, r"another 'teacher' \(None, now runs/teacher\)"),
    ):
        with pytest.raises(WsvadError, match=rf"config.yaml: the run there has {message}; give another --out"):
            run.claim(changed, FINGERPRINT)
    run = RunFolder(tmp_path / "taught")
    run.claim(SETTINGS | {"teacher": "runs/teacher"}, FINGERPRINT)
    run.claim(SETTINGS | {"teacher": "runs/moved"}, FINGERPRINT)  # what it is, the fingerprint says
    with pytest.raises(WsvadError, match="another 'teacher'"):
        run.claim(SETTINGS, FINGERPRINT)


def test_a_run_goes_on_where_its_version_lacked_fields_of_the_configuration_that_change_nothing(tmp_path):
    run, now = RunFolder(tmp_path), dataclasses.asdict(MilConfig(lr=0.1))
    before = {name: value for name, value in now.items() if name != "top"}
    run.claim(SETTINGS | {"config": before}, FINGERPRINT)
    run.claim(SETTINGS | {"config": now}, FINGERPRINT)
    run = RunFolder(tmp_path / "other")
    run.claim(SETTINGS | {"config": before}, FINGERPRINT)
    with pytest.raises(WsvadError, match=r"another 'config' \(top: 1, now 6\)"):
        run.claim(SETTINGS | {"config": now | {"top": 6}}, FINGERPRINT)


def test_a_run_that_did_not_record_its_data_is_not_continued(tmp_path):
    run = RunFolder(tmp_path)
    run.claim(SETTINGS, FINGERPRINT)
    (tmp_path / "unfinished.json").unlink()
    write_json(run.seed(0).path / "result.json", {})
    with pytest.raises(WsvadError, match="which did not record its data; give another --out, or delete the folder"):
        run.claim(SETTINGS, FINGERPRINT)


def kept(run: RunFolder) -> set[str]:
    return {str(path.relative_to(run.path / "seed-0")) for path in (run.path / "seed-0").rglob("*") if path.is_file()}


@pytest.fixture
def claimed(tmp_path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.claim(SETTINGS, FINGERPRINT)
    seed = run.seed(0)
    for name in ("held_out", "selection", "fit", "result", "timing", "fold-0"):
        write_json(seed.path / f"{name}.json", {"videos": ["n"]})
    seed.write_point(2, {"t": Scored(scores=np.zeros(2, np.float32))})
    seed.write_model(trained())
    return run


POINT, MODEL = "points/000002.safetensors", {"model.json", "model.safetensors"}
SELECTED = {"held_out.json", "selection.json", "timing.json", "fold-0.json"}


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (FINGERPRINT, {"result.json", "fit.json", POINT} | SELECTED | MODEL),
        (other(test={"t": TESTED | {"intervals": [[0, 16, "x"]]}}), {"fit.json", POINT} | SELECTED | MODEL),
        (other(test={"t": TESTED, "u": TESTED}), SELECTED),
        (other(training={"n": VIDEO, "a": VIDEO}), {"held_out.json"}),
    ],
)
def test_what_no_longer_holds_is_removed_and_said(claimed, now, left, caplog):
    with caplog.at_level("INFO", "wsvad"):
        claimed.claim(SETTINGS, now)
    assert kept(claimed) == left
    assert bool(caplog.messages) == (now is not FINGERPRINT)
    assert claimed.claim(SETTINGS, now) == Changes()  # it is remembered


# ------------------------------------------------------------------------------------------------- the end


def test_the_model_is_written_last_of_all(tmp_path, monkeypatch):
    run, order = RunFolder(tmp_path), []
    run.claim(SETTINGS, FINGERPRINT)
    for name in ("write_json", "write_text", "save_method"):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, *a, real=real: (order.append(path.name), real(path, *a)))
    run.finish(trained(), metrics={}, log=["{}\n"], calibration={}, report=lambda path: order.append(path.name))
    assert order == ["metrics.json", "log.jsonl", "calibration.json", "report.html", tmp_path.name]
    assert run.finished and run.fingerprint() == FINGERPRINT and not (tmp_path / "unfinished.json").exists()


def test_killed_at_the_end_it_is_not_finished(tmp_path):
    run = RunFolder(tmp_path)
    run.claim(SETTINGS, FINGERPRINT)
    run.finish(trained())
    assert run.finished

    def killed(_path):
        raise KeyboardInterrupt

    run.claim(SETTINGS, other(test={}))
    assert run.finished and run.fingerprint() == FINGERPRINT  # until the new one is ready
    assert run.split() == {"n": "train", "a": "train"}
    with pytest.raises(KeyboardInterrupt):
        run.finish(trained(), report=killed)
    assert not run.finished
    with pytest.raises(WsvadError, match="not a finished run"):
        run.load()


def test_points_come_back(tmp_path):
    seed = SeedFolder(tmp_path)
    scored = {
        "a": Scored(scores=np.array([0.1, 0.2], np.float32), class_scores=np.eye(2, dtype=np.float32)),
        "b/ü [x].mp4": Scored(scores=np.array([0.5], np.float32)),
    }
    seed.write_point(7, scored)
    found = seed.read_point(7)
    assert list(found) == list(scored)
    np.testing.assert_array_equal(found["a"].class_scores, np.eye(2))
    np.testing.assert_array_equal(found["b/ü [x].mp4"].scores, scored["b/ü [x].mp4"].scores)
    assert found["b/ü [x].mp4"].class_scores is None
    (tmp_path / "points" / "000007.safetensors").write_bytes(b"cut")
    with pytest.raises(WsvadError, match=r"000007.safetensors: damaged or missing"):
        seed.read_point(7)


# ------------------------------------------------------------------------------------------------- other data


def store(folder, **contents):
    for name, content in contents.items():
        passport = Passport(encoder="test", width=2, frames=16, source=content)
        save(feature_path(folder, "rgb", name), StoredFeatures(features=np.ones((1, 2), np.float32), passport=passport))
    return Store(folder)


@pytest.mark.parametrize(
    ("decoder", "content", "name", "refused"),
    [
        ("PyAV", "a", "n", True),  # the same video
        ("PyAV", "b", "n", False),  # another one of that name, in another folder
        ("PyAV", "a", "x", True),  # the same under another name
        ("PyAV", "b", "x", False),
        (None, "a", "x", False),  # the same captions say nothing of the video
        (None, "a", "n", True),
    ],
)
def test_videos_that_were_learned_from_are_no_test_videos(tmp_path, decoder, content, name, refused):
    run = RunFolder(tmp_path / "run")
    run.write_fingerprint(other(features={"rgb": {"encoder": "test", "decoder": decoder}}))
    source = store(tmp_path / "features", **{name: content})
    video = LabelledVideo(name=name, label=0, category="normal", split="test")
    dataset = Dataset(name="set", videos=(video,))
    if refused:
        with pytest.raises(UsageError, match=f"was trained on 1 of the 1 test videos, the first is {name}"):
            run.refuse_trained_on(dataset, source)
    else:
        run.refuse_trained_on(dataset, source)


def test_the_weights_of_all_seeds_make_the_hash(tmp_path):
    run = RunFolder(tmp_path)
    torch.manual_seed(0)
    run.finish(trained())
    first = run.weights_hash()
    run.seed(1).write_model(trained())
    assert run.weights_hash() != first


# ------------------------------------------------------------------------------------------------- frame rates


PASSPORT = Passport(encoder="motion", width=3, frames=32)


@pytest.mark.parametrize("learned, now", [(None, "10"), ("10", None), ("10", "25/2")])
def test_features_at_another_rate_are_others_also_for_a_run_from_before_there_were_any(learned, now):
    run = trained()
    run.passports = {"rgb": replace(PASSPORT, rate=learned).identity()}
    assert run.rate == (learned and 10)
    assert "frames per second" in run.difference("rgb", replace(PASSPORT, rate=now))
    assert run.difference("rgb", replace(PASSPORT, rate=learned)) is None


@pytest.mark.parametrize(
    ("filmed_at", "rate", "found", "said"),
    [
        ((25.0, 25.0), None, 10, "10 frames/s, but the detector learned from videos with 25"),
        ((25.0, 25.0), None, 50, "train again with --rate 25"),
        ((12.5, 29.97), None, 60, "learned from videos with 12.5 to 30"),
        ((25.0, 25.0), None, Fraction(50, 3), ""),
        ((25.0, 25.0), None, Fraction(75, 2), ""),
        ((10.0, 30.0), None, 7, ""),
        ((25.0, 25.0), "10", 100, ""),
        (None, None, 10, ""),
        ((25.0, 25.0), None, None, ""),
    ],
)
def test_a_rate_that_is_far_from_those_in_training_is_told(filmed_at, rate, found, said):
    run = trained()
    run.filmed_at, run.passports = filmed_at, {"rgb": replace(PASSPORT, rate=rate).identity()}
    told = run.foreign_rate(SnippetClock(snippets=3, frames=48, rate=found))
    assert said in told and bool(told) == bool(said)


def test_gaps_say_nothing_of_the_rate():
    """A recorder that films when something moves: 25 frames/s, on average far fewer."""
    clock = SnippetClock(
        snippets=2, frames=32, times=np.array([0, 100.64, 101.28]), filmed=np.array([0.64, 0.64]), rate=Fraction(1)
    )
    assert clock.filmed_rate == 25
