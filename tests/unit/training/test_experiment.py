"""An experiment with modalities and a teacher: what it needs on disk, what it takes over, and what it refuses."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.memory import Memory
from wsvad.errors import UsageError, WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.metrics.interval import Interval
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import load_method, save_method
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

BASE = UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8)
PI = PiVadConfig(ur_dmu=BASE, latent=8, heads=2, wide_heads=2, modalities=("pose", "text"))
PROTOCOL = Protocol(iterations=4, segments=8, bags=2, points=2, normalise="standardise")
WIDTHS = {"rgb": 6, "pose": 4, "text": 3}
LENGTHS = [5, 1, 9, 7, 3, 8, 6, 4, 10, 2, 5, 7]


def dataset() -> Dataset:
    """Twelve videos; the second is shorter than a snippet, the last four are for testing."""
    return Dataset(
        name="tiny",
        videos=tuple(
            LabelledVideo(
                name=f"v{i}.mp4", label=i % 2, category="fight" if i % 2 else "normal",
                split="test" if i >= 8 else "train",
                intervals=(Interval(start=0, end=16, category="fight"),) if i % 2 else (),
            )
            for i in range(12)
        ),
    )  # fmt: skip


def write(folder, stream, number, array, **passport):
    frames = 3 if LENGTHS[number] == 1 else 16 * LENGTHS[number]
    told = {"encoder": stream, "width": array.shape[1], "frames": frames} | passport
    path = feature_path(folder, stream, f"v{number}.mp4")
    save(path, StoredFeatures(features=array.astype(np.float32), passport=Passport(**told)))


@pytest.fixture
def features(tmp_path):
    rng = np.random.default_rng(0)
    for stream, width in WIDTHS.items():
        for number, length in enumerate(LENGTHS):
            write(tmp_path, stream, number, rng.normal(size=(length, width)) + number % 2)
    return tmp_path


def experiment(features, out, name="pi-vad", config=PI, protocol=PROTOCOL, **fields):
    return Experiment(
        dataset=dataset(), features=features, name=name, config=config, protocol=protocol, out=features / out, **fields
    )


@pytest.fixture
def teacher(features):
    experiment(features, "teacher", "ur-dmu", BASE).run()
    return features / "teacher"


def test_modalities_are_needed_for_training_videos_alone(features):
    for number in range(8, 12):
        for stream in ("pose", "text"):
            feature_path(features, stream, f"v{number}.mp4").unlink()
    fitted = experiment(features, "run").run()
    assert {name: len(scores) for name, scores in fitted.test_scores.items()} == {
        f"v{i}.mp4": LENGTHS[i] for i in range(8, 12)
    }
    assert set(fitted.metrics["reconstruction"]) == {"pose", "text"}
    assert fitted.trained.normalisation.kinds == dict.fromkeys(WIDTHS, "standardise")


def test_a_run_with_too_little_memory_is_the_same_to_the_digit(features):
    """And one whose first half of the streams fits; per camera, as that looks at rows of the packed features."""
    protocol = dataclasses.replace(PROTOCOL, normalise="per-camera")
    runs = {}
    for size in (0, 8 * 8 * 6 * 4, 2**30):
        made = experiment(features, f"run-{size}", protocol=protocol, memory=Memory(size)).run()
        weights = (features / f"run-{size}" / "seed-0" / "model.safetensors").read_bytes()
        runs[size] = (weights, json.dumps(made.metrics, sort_keys=True))
    assert len(set(runs.values())) == 1


def test_a_missing_modality_is_named_with_both_ways_out(features):
    feature_path(features, "pose", "v3.mp4").unlink()
    with pytest.raises(WsvadError, match=r"v3.mp4 has no pose features; .* --stream pose=.* leave .* \(--modal"):
        experiment(features, "run").run()
    experiment(features, "narrow", config=dataclasses.replace(PI, modalities=("text",))).run()


def test_a_modality_of_another_length_is_told_with_both(features):
    write(features, "text", 2, np.ones((8, 3)))
    with pytest.raises(WsvadError, match=r"v2.mp4 differ in length \(rgb 9, pose 9, text 8 snippets\).* tail policy"):
        experiment(features, "run").run()


def test_a_constant_modality_is_refused(features):
    for number, length in enumerate(LENGTHS):
        write(features, "pose", number, np.full((length, 4), 2.5))
    with pytest.raises(WsvadError, match="the stream 'pose' is the same in every training video"):
        experiment(features, "run").run()


def test_the_teacher_of_the_same_seed_is_taken_over(features, teacher):
    fitted = experiment(features, "run", teacher=teacher).run()
    taught, own = load_method(teacher / "seed-0").method, fitted.trained.method.teacher
    assert all(torch.equal(value, own.state_dict()[key]) for key, value in taught.state_dict().items())
    phases = {json.loads(line)["phase"] for line in (features / "run" / "log.jsonl").read_text().splitlines()}
    assert phases == {"warm-up", "main"}


def test_its_own_teacher_is_trained_otherwise(features):
    experiment(features, "run").run()
    phases = [json.loads(line)["phase"] for line in (features / "run" / "log.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(phases)) == ["teacher", "warm-up", "main"]


def test_a_teacher_that_does_not_fit_is_refused(features, teacher):
    with pytest.raises(UsageError, match="a run of ur-dmu, but mil learns from no teacher"):
        from wsvad.methods.mil import MilConfig

        experiment(features, "a", "mil", MilConfig(hidden=(4, 4)), teacher=teacher).run()
    with pytest.raises(WsvadError, match=r"normalised differently \({'rgb': 'standardise'}\)"):
        experiment(features, "b", protocol=dataclasses.replace(PROTOCOL, normalise="none"), teacher=teacher).run()
    other = dataclasses.replace(PI, ur_dmu=dataclasses.replace(BASE, head=4))
    with pytest.raises(WsvadError, match=r"the teacher has another size .* give both the same configuration"):
        experiment(features, "c", config=other, teacher=teacher).run()
    rng = np.random.default_rng(1)
    for number, length in enumerate(LENGTHS):
        write(features, "rgb", number, rng.normal(size=(length, 5)))
    with pytest.raises(WsvadError, match=r"learned from other rgb features \(width: 6 against 5\)"):
        experiment(features, "d", teacher=teacher).run()


def test_a_teacher_is_part_of_the_command_and_its_weights_are_of_the_data(features, teacher, caplog):
    experiment(features, "run", teacher=teacher).run()
    with pytest.raises(WsvadError, match="has another 'teacher'"):
        experiment(features, "run").run()
    moved = teacher.rename(features / "moved")
    caplog.set_level("INFO")
    experiment(features, "run", teacher=moved).run()
    assert "changed" not in caplog.text
    experiment(features, "moved", "ur-dmu", BASE).run()  # the same again
    taught = load_method(moved / "seed-0")
    taught.method.load_state_dict({name: x + 1e-3 for name, x in taught.method.state_dict().items()})
    save_method(moved / "seed-0", taught)
    experiment(features, "run", teacher=moved).run()
    assert "the data has changed, so training again: the teacher has changed" in caplog.text


def test_a_run_that_is_made_anew_is_what_it_was_until_the_end(features):
    """Its seeds are fitted to other data already; model, fingerprint and what is made from them are not."""
    experiment(features, "run", "ur-dmu", BASE, dataclasses.replace(PROTOCOL, seeds=2)).run()
    run = RunFolder(features / "run")
    before, weights = run.weights_hash(), run.of_seed(0).method.state_dict()
    assert len(list(run.each_seed())) == 2
    shutil.copy(features / "run" / "fingerprint.json", features / "run" / "unfinished.json")
    shutil.copy(features / "run" / "seed-1" / "model.safetensors", features / "run" / "seed-0" / "model.safetensors")
    shutil.rmtree(features / "run" / "seed-1")
    (own,) = run.each_seed()
    for method in (run.of_seed(0).method, run.of_seed(1).method, own.method):
        assert all(torch.equal(weights[name], value) for name, value in method.state_dict().items())
    after = run.weights_hash()
    (features / "run" / "seed-0" / "model.safetensors").unlink()
    assert run.weights_hash() == after != before


def test_a_run_says_what_it_learned_from_and_what_it_needs(features):
    experiment(features, "run").run()
    told = json.loads((features / "run" / "model.json").read_text())
    assert (told["learns_from"], told["runs_on"]) == (["rgb", "pose", "text"], ["rgb"])
    assert told["config"]["ur_dmu"]["hidden"] == 16
    assert load_method(features / "run").method.config == PI


@pytest.mark.parametrize("lost", ["the last", "all"])
def test_a_lost_point_is_named(lost, features):
    """And no earlier one is taken for it, in a run that was finished."""
    run = experiment(features, "run", "ur-dmu", BASE)
    run.run()
    seed = run.folder.seed(0)
    points = seed.points()
    assert len(points) > 1
    for iteration in points[-1:] if lost == "the last" else points:
        (seed.path / "points" / f"{iteration:06d}.safetensors").unlink()
    with pytest.raises(WsvadError, match=rf"{points[-1]:06d}\.safetensors: damaged or missing .*run again"):
        experiment(features, "run", "ur-dmu", BASE).run()


def test_a_log_that_is_no_text_is_named(features):
    run = experiment(features, "run", "ur-dmu", BASE)
    run.run()
    path = run.folder.seed(0).path / "log.jsonl"
    path.write_bytes(path.read_bytes() + b"\xff")
    with pytest.raises(WsvadError, match=r"log\.jsonl: not text in UTF-8 .*delete .*seed-0 and run again"):
        experiment(features, "run", "ur-dmu", BASE).run()


@pytest.mark.parametrize("what", ["points", "history"])
def test_a_seed_whose_files_are_of_another_fit_is_named(what, features):
    run = experiment(features, "run", "ur-dmu", BASE)
    run.run()
    seed = run.folder.seed(0)
    (seed.path / "result.json").unlink()
    if what == "points":
        for iteration in seed.points():
            seed.write_point(iteration, dict(list(seed.read_point(iteration).items())[1:]))
    else:
        seed.write("fit", {**seed.read("fit"), "history": []})
    with pytest.raises(WsvadError, match=r"delete .*seed-0 and run again"):
        experiment(features, "run", "ur-dmu", BASE).run()
