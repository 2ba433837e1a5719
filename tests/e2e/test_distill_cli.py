"""A finished run teaches a student of one stream: by the command line, from videos and from features."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from clips import write_clip

from wsvad.cli.main import main
from wsvad.datasets.folder import open_folder
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, save
from wsvad.methods.dakd import DakdConfig, refine
from wsvad.methods.method import Batch
from wsvad.methods.mil import MilConfig
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.methods.refinevad import RefineVadConfig
from wsvad.methods.ur_dmu import UrDmuConfig
from wsvad.runs.model import load_method
from wsvad.runs.normalisation import Normalisation
from wsvad.training.distill import lesson_of
from wsvad.training.experiment import Experiment
from wsvad.training.protocol import Protocol

TEACHER = ["--config.hidden", "64", "--config.feed_forward", "32", "--config.lr", "0.0003"]
STUDENT = ["--config.projection", "32", "--config.hidden", "32", "--config.lr", "0.01"]
STUDENT += ["--config.temporal_lr", "0.001", "--iterations", "60", "--points", "2"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Ten short videos; something bright crosses the abnormal ones from frame 32 to frame 64."""
    folder = tmp_path_factory.mktemp("videos")
    rows = ["video,label,category,split"]
    for number in range(10):
        abnormal, rng = number % 2, np.random.default_rng(number)
        frames = []
        for i in range(96):
            image = rng.integers(40, 50, (96, 128, 3)).astype(np.uint8)
            if abnormal and 32 <= i < 64:
                x = (7 * i) % 100
                image[30:60, x : x + 25] = 220
            frames.append(image)
        write_clip(folder / f"cam-{number}.mp4", frames)
        rows.append(
            f"cam-{number}.mp4,{abnormal},{'dash' if abnormal else 'normal'},{'test' if number > 7 else 'train'}"
        )
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "intervals.csv").write_text("video,category,start_frame,end_frame\ncam-9.mp4,dash,32,64\n")
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "run"
    command = ["train", str(videos), "--rgb", "motion", "--out", str(out), "--workers", "0", "--points", "2"]
    assert main([*command, "--iterations", "30", *TEACHER]) == 0
    return out


@pytest.fixture(scope="module")
def student(run, tmp_path_factory) -> Path:
    """Of the flow stream, which the teacher never saw."""
    out = tmp_path_factory.mktemp("student") / "run"
    command = ["distill", str(run), "--to", "flow", "--flow", "flow", "--workers", "0", "--out", str(out)]
    assert main([*command, *STUDENT]) == 0
    return out


def test_the_student_runs_on_its_stream_alone(student, run):
    trained = load_method(student)
    assert (trained.name, trained.method.runs_on) == ("dakd", ("flow",))
    assert trained.method.config.given == "ur-dmu"
    assert trained.method.learns_from == ("rgb", "flow")
    assert not [name for name in trained.method.state_dict() if not name.startswith("student.") and name != "bins"]
    assert trained.encoders["flow"] == "flow"
    assert (student / "model.safetensors").stat().st_size < (run / "model.safetensors").stat().st_size


def test_it_finds_the_event_without_the_teachers_encoder(student, videos, tmp_path, monkeypatch):
    import wsvad.encoders.motion

    monkeypatch.delattr(wsvad.encoders.motion, "Motion")
    out = tmp_path / "scores"
    assert (
        main(
            ["score", str(videos / "cam-9.mp4"), str(videos / "cam-8.mp4"), "--model", str(student), "--out", str(out)]
        )
        == 0
    )
    abnormal, normal = json.loads((out / "scores.json").read_text())["videos"]
    (event,) = abnormal["events"]
    assert event["start_frame"] < 64 and event["end_frame"] > 32
    assert max(s["score"] for s in abnormal["snippets"]) > max(s["score"] for s in normal["snippets"]) + 0.2


def test_the_teachers_streams_are_normalised_as_it_learned_and_its_run_is_untouched(student, run):
    before, after = load_method(run).normalisation, load_method(student).normalisation
    assert torch.equal(before.mean["rgb"], after.mean["rgb"])
    assert torch.equal(before.std["rgb"], after.std["rgb"])
    assert after.kinds == {"rgb": "standardise", "flow": "standardise"}


def test_again_changes_nothing_and_another_teacher_is_another_run(student, run, videos, capsys):
    before = {path: path.read_bytes() for path in student.rglob("*") if path.is_file()}
    command = ["distill", str(run), "--to", "flow", "--flow", "flow", "--workers", "0", "--out", str(student)]
    assert main([*command, *STUDENT]) == 0
    assert {path: path.read_bytes() for path in student.rglob("*") if path.is_file()} == before
    assert main([*command, *STUDENT, "--seeds", "2"]) == 1
    assert "the run there has another 'protocol'" in capsys.readouterr().err


def test_what_is_missing_is_named(run, videos, tmp_path, capsys):
    def told(*arguments: str) -> str:
        assert main(["distill", str(run), "--out", str(tmp_path / "x"), *arguments]) == 2
        return capsys.readouterr().err

    assert "has no encoder for 'clip'" in told("--to", "clip")
    assert "--stream clip=ENCODER" in told("--to", "clip")
    assert "levels: a given teacher has scores, not features" in told(
        "--to", "rgb", "--config.levels", "[feature]", "--config.given", "x"
    )
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    settings = yaml.safe_load((moved / "config.yaml").read_text())
    (moved / "config.yaml").write_text(yaml.safe_dump(settings | {"source": {"folder": "gone"}}))
    assert main(["distill", str(moved), "--to", "rgb", "--out", str(tmp_path / "x")]) == 2
    assert "its videos have been moved or deleted; name their folder with --data" in capsys.readouterr().err


def test_many_backbones_learn_and_one_runs(videos, tmp_path):
    """`wsvad train --method dakd`, then the student's encoder alone: the teacher's is taken away."""
    import wsvad.encoders.motion

    out = tmp_path / "run"
    command = [
        "train",
        str(videos),
        "--method",
        "dakd",
        "--stream",
        "motion=motion",
        "--flow",
        "flow",
        "--workers",
        "0",
    ]
    backbones = ["--config.backbones", "[motion,flow]", "--config.student", "flow", "--out", str(out)]
    assert main([*command, *backbones, *STUDENT]) == 0
    assert sorted(path.name for path in (out / "features").iterdir()) == ["flow", "motion"]  # no rgb, which none reads
    shutil.rmtree(out / "features")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(wsvad.encoders.motion, "Motion")
        assert main(["score", str(videos / "cam-9.mp4"), "--model", str(out), "--out", str(tmp_path / "s")]) == 0
    (abnormal,) = json.loads((tmp_path / "s" / "scores.json").read_text())["videos"]
    scores = [snippet["score"] for snippet in abnormal["snippets"]]
    assert min(scores[2:4]) > max(scores[0], scores[-1])


def test_a_teacher_by_itself_scores_and_teaches(videos, tmp_path, capsys):
    """Without a student: the run is the teacher's, is scored like any other, and two students learn from it."""
    out, folder = tmp_path / "teacher", str(videos)
    command = ["train", folder, "--method", "dakd", "--stream", "motion=motion", "--flow", "flow", "--workers", "0"]
    command += ["--config.backbones", "[motion,flow]", "--features", str(tmp_path / "features")]
    assert main([*command, *STUDENT, "--config.student", "", "--out", str(out)]) == 0
    teacher = load_method(out)
    assert teacher.method.runs_on == ("motion", "flow")
    assert {line["phase"] for line in map(json.loads, (out / "log.jsonl").read_text().splitlines())} == {"teacher"}
    assert main(["score", str(videos / "cam-9.mp4"), "--model", str(out), "--out", str(tmp_path / "s")]) == 0
    for stream in ("motion", "flow"):
        student = tmp_path / stream
        assert (
            main(["distill", str(out), "--to", stream, "--workers", "0", "--iterations", "2", "--out", str(student)])
            == 0
        )
        own = load_method(student).method
        assert own.runs_on == (stream,)
        for name, weight in teacher.method.teacher.state_dict().items():
            assert torch.equal(own.teacher.state_dict()[name], weight)
    capsys.readouterr()
    again = [*command, *STUDENT, "--config.student", "", "--teacher", str(out), "--out", str(tmp_path / "x")]
    assert main(again) == 2
    assert "student: there is none to train" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- features, and the levels


@pytest.fixture
def stored(tmp_path) -> Path:
    """Features without videos; in abnormal ones, snippets 2 and 3 differ in both streams."""
    rng, rows = np.random.default_rng(0), ["video,label,frames,split"]
    intervals = ["video,category,start_frame,end_frame"]
    for number in range(16):
        abnormal = number % 2
        for stream in ("rgb", "clip", "s3d"):
            x = rng.normal(size=(6, 8)).astype(np.float32)
            x[2:4] += 2 * abnormal
            passport = Passport(encoder="test", width=8, frames=96)
            save(feature_path(tmp_path / "f", stream, f"v{number}"), StoredFeatures(features=x, passport=passport))
        rows.append(f"v{number},{abnormal},96,{'test' if number > 9 else 'train'}")
        intervals += [f"v{number},odd,32,64"] if abnormal else []
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "intervals.csv").write_text("\n".join(intervals))
    return tmp_path


SMALL = DakdConfig(backbones=("rgb", "clip"), projection=16, hidden=16, heads=2, head=(8, 4), g=(8, 4))
BUDGET = Protocol(budget="data", iterations=6, points=1, hold_out=0.0, normalise="standardise", seeds=2)


def fitted(stored: Path, name: str, config: DakdConfig, teacher: Path | None = None) -> Path:
    dataset = open_folder(stored, need_videos=False)
    Experiment(
        dataset=dataset, features=stored / "f", name="dakd", config=config, protocol=BUDGET, out=stored / name,
        teacher=teacher,
    ).run()  # fmt: skip
    return stored / name


def test_a_run_of_dakd_teaches_at_its_own_levels(stored):
    teacher = fitted(stored, "teacher", SMALL)
    lesson = lesson_of(teacher, "clip", DakdConfig(alpha=1.0), {})
    assert lesson.config == DakdConfig(**{**vars(SMALL), "student": "clip", "alpha": 1.0})
    run = fitted(stored, "student", lesson.config, teacher)
    for seed in range(2):  # each seed's student has that seed's teacher
        before, after = (load_method(r / f"seed-{seed}").method.teacher.state_dict() for r in (teacher, run))
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_stream_that_its_teacher_never_saw_learns_from_the_teachers_scores(stored):
    teacher = fitted(stored, "teacher", SMALL)
    lesson = lesson_of(teacher, "s3d", DakdConfig(**{**vars(SMALL), "backbones": ("rgb", "s3d"), "student": "s3d"}), {})
    assert (lesson.config.given, lesson.config.levels) == ("dakd", ("prediction",))
    assert lesson.config.backbones == ("rgb", "clip", "s3d")
    run = fitted(stored, "student", lesson.config, teacher)
    assert load_method(run).method.runs_on == ("s3d",)
    assert main(["evaluate", str(run)]) == 0


def test_a_student_teaches_another(stored):
    first = fitted(stored, "teacher", SMALL)
    given = lesson_of(first, "s3d", SMALL.__class__(projection=16, hidden=16, heads=2, head=(8, 4)), {}).config
    second = fitted(stored, "second", given, first)
    third = lesson_of(second, "rgb", DakdConfig(), {}).config
    assert (third.given, third.backbones) == ("dakd", ("s3d", "rgb"))


TINY_TEACHERS = {
    "pi-vad": PiVadConfig(
        modalities=("clip",), latent=8, heads=2, wide_heads=2,
        ur_dmu=UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8),
    ),
    "refinevad": RefineVadConfig(streams=("rgb", "clip"), hidden=16, heads=2, feed_forward=16, head=8),
    "mil": MilConfig(stream="clip", hidden=(8, 4)),
}  # fmt: skip


@pytest.mark.parametrize(("name", "reads"), [("pi-vad", ("rgb",)), ("refinevad", ("rgb", "clip")), ("mil", ("clip",))])
def test_a_run_of_any_method_teaches(stored, name, reads):
    """The student's soft labels are the run's own scores, of the streams that it runs on, refined."""
    dataset, teacher = open_folder(stored, need_videos=False), stored / "teacher"
    Experiment(
        dataset=dataset, features=stored / "f", name=name, config=TINY_TEACHERS[name], protocol=BUDGET, out=teacher
    ).run()  # fmt: skip
    small = ["--config.projection", "16", "--config.hidden", "16", "--config.heads", "2", "--iterations", "2"]
    out = stored / "student"
    assert (
        main(["distill", str(teacher), "--to", "s3d", *small, "--seeds", "2", "--points", "1", "--out", str(out)]) == 0
    )
    student = load_method(out)
    assert (student.method.runs_on, student.method.learns_from) == (("s3d",), (*reads, "s3d"))
    assert student.method.config.given == name
    experiment = Experiment(
        dataset=dataset, features=stored / "f", name="dakd", config=student.method.config, protocol=BUDGET, out=out,
        teacher=teacher,
    )  # fmt: skip
    for seed in range(2):  # each seed's student has that seed's teacher
        method, own = experiment.fitting.build(seed), load_method(teacher / f"seed-{seed}")
        packed = experiment.fitting.packed(6)
        labels = packed.labels.float()
        taught = method.taught_of(Batch(streams=experiment.fitting.normalisation(packed.streams), labels=labels))
        with torch.no_grad():
            raw = own.method.eval()(own.normalisation({stream: packed.streams[stream] for stream in reads}))
        torch.testing.assert_close(taught.y, refine(raw, labels))
        assert taught.y[labels > 0].amax(1).min() == 1


def test_a_given_teacher_must_be_given(stored):
    config = DakdConfig(given="ur-dmu", projection=16, hidden=16, heads=2)
    dataset = open_folder(stored, need_videos=False)
    experiment = Experiment(
        dataset=dataset, features=stored / "f", name="dakd", protocol=BUDGET, out=stored / "x",
        config=DakdConfig(**{**vars(config), "backbones": ("rgb", "clip")}),
    )  # fmt: skip
    with pytest.raises(Exception, match="this student learns from a run of ur-dmu; name it, with --teacher RUN"):
        experiment.run()


def test_one_normalisation_takes_over_anothers_streams():
    x = {name: torch.randn(3, 4, 2) for name in ("rgb", "flow", "clip")}
    own = Normalisation.fit({"rgb": "standardise", "flow": "standardise", "clip": "l2"}, x)
    other = Normalisation.fit({"rgb": "none", "clip": "standardise", "pose": "none"}, x)
    both = own.like(other)
    assert both.kinds == {"rgb": "none", "flow": "standardise", "clip": "standardise"}
    assert set(both.mean) == set(both.std) == {"flow", "clip"}
    for name, source in (("rgb", other), ("flow", own), ("clip", other)):
        torch.testing.assert_close(both({name: x[name]})[name], source({name: x[name]})[name])


def test_features_are_looked_up_where_the_run_had_them(stored):
    teacher = fitted(stored, "teacher", SMALL)
    lesson = lesson_of(teacher, "rgb", DakdConfig(), {})
    assert lesson.features == stored / "f"
    assert load(feature_path(lesson.features, "rgb", "v0")).features.shape == (6, 8)
    assert [video.name for video in lesson.dataset.test] == [f"v{n}" for n in range(10, 16)]
