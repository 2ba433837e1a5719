"""The same command on changed data does again what changed, and says so; another command is refused.

| change | train, fit, bench, ablate, distill | evaluate on that data |
| --- | --- | --- |
| intervals, category or label of a test video, a test video removed | measured again | measured |
| a test video added or replaced | fitted again; the held-out choice of the iteration stays | measured |
| label, category or split of a training video; one added, removed, replaced, renamed | trained again | measured |
| a training video is now a test video | trained again | refused, until it is |
| configuration, protocol, encoder, teacher | refused | measured |
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from wsvad.cli.main import main
from wsvad.evaluation.scores_file import write_scores
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.runs.folder import RunFolder
from wsvad.runs.sealed import sealed

FEW = ["--iterations", "2", "--points", "1", "--segments", "4", "--bags", "2", "--hold-out", "0.3"]
LABELS = "video,label,category,split"
ABNORMAL = ("a1", "a2", "a3", "b1", "t2", "t3")


def row(name: str) -> str:
    category = {"a": "fall", "b": "fight", "t": "fall"}[name[0]] if name in ABNORMAL else "normal"
    return f"{name}.mp4,{int(name in ABNORMAL)},{category},{'test' if name[0] == 't' else 'train'}"


NAMES = ["n1", "n2", "n3", "n4", "a1", "a2", "a3", "b1", "t0", "t1", "t2", "t3"]


def write_labels(folder: Path, rows: list[str]) -> None:
    (folder / "labels.csv").write_text("\n".join([LABELS, *rows]) + "\n")


def write_features(folder: Path, name: str, seed: int) -> None:
    """Two streams of six snippets; of an abnormal video the middle ones are lifted."""
    rng = np.random.default_rng(seed)
    for stream in ("rgb", "flow"):
        x = rng.normal(size=(6, 4)).astype(np.float32)
        x[2:4] += 3 * (name in ABNORMAL)
        passport = Passport(encoder="test", width=4, frames=96, frame_rate="30", source=f"{name}-{seed}")
        stored = StoredFeatures(features=x, passport=passport, times=np.arange(7) * 16 / 30)
        save(feature_path(folder / "features", stream, f"{name}.mp4"), stored)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Videos with features, as of a dataset that was extracted before."""
    folder = tmp_path_factory.mktemp("data") / "set"
    for seed, name in enumerate(NAMES):
        write_features(folder, name, seed)
    write_labels(folder, [row(name) for name in NAMES])
    lines = [f"{name}.mp4,fall,32,64" for name in ("t2", "t3")]
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *lines]) + "\n")
    return folder


MIL = ["--config.hidden", "[4,2]"]
REFINE = [
    "--config.hidden", "8", "--config.heads", "2", "--config.feed-forward", "8", "--config.head", "4",
    "--config.gate", "4", "--config.warm-up-iterations", "0",
]  # fmt: skip
STUDENT = [
    "--config.projection",
    "8",
    "--config.hidden",
    "8",
    "--config.heads",
    "2",
    "--config.head",
    "[8,4]",
    "--config.k",
    "2",
]


def fit(data: Path, out: Path) -> list[str]:
    method = ["--method", "mil", *MIL]
    return ["fit", str(data), "--features", str(data / "features"), "--out", str(out), *method, *FEW]


def bench(data: Path, out: Path) -> list[str]:
    features = ["--features", str(data / "features")]
    return ["bench", "--data", str(data), "--methods", "mil", "--out", str(out), *features, *MIL, *FEW]


def ablate(data: Path, out: Path) -> list[str]:
    table = ["refinevad", "--table", "lambda1", "--features", str(data / "features")]
    return ["ablate", *table, "--data", str(data), "--out", str(out), *REFINE, *FEW]


def distill(data: Path, out: Path) -> list[str]:
    features = ["--data", str(data), "--features", str(data / "features")]
    return ["distill", str(out.parent / "teacher"), "--to", "flow", "--out", str(out), *features, *STUDENT, *FEW]


VERBS = {"fit": fit, "bench": bench, "ablate": ablate, "distill": distill}


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    """Each verb's command, run once: the folder with `set`, `teacher` and `out`."""
    made: dict[str, Path] = {}

    def run(verb: str) -> Path:
        if verb not in made:
            made[verb] = tmp_path_factory.mktemp(verb)
            shutil.copytree(data, made[verb] / "set")
            if verb == "distill":
                assert main(fit(made[verb] / "set", made[verb] / "teacher")) == 0
            assert main(VERBS[verb](made[verb] / "set", made[verb] / "out")) == 0
        return made[verb]

    return run


# ---------------------------------------------------------------------------------------------------- the changes


def relabel(folder: Path, name: str, new: str) -> None:
    write_labels(folder, [new if line == row(name) else line for line in map(row, NAMES)])


def new_intervals(folder: Path) -> None:
    path = folder / "intervals.csv"
    path.write_text(path.read_text().replace("t2.mp4,fall,32,64", "t2.mp4,fall,0,32"))


def added(folder: Path, name: str) -> None:
    write_features(folder, name, 99)
    write_labels(folder, [*map(row, NAMES), row(name)])


def removed(folder: Path, name: str) -> None:
    write_labels(folder, [row(other) for other in NAMES if other != name])
    path = folder / "intervals.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(name)))


def renamed(folder: Path, name: str, new: str) -> None:
    for stream in ("rgb", "flow"):
        shutil.move(*(feature_path(folder / "features", stream, f"{one}.mp4") for one in (name, new)))
    write_labels(folder, [row(other) if other != name else row(name).replace(name, new) for other in NAMES])


CHANGES = {
    "intervals": (new_intervals, "measuring", "1 test video changed: t2.mp4 (other intervals)"),
    "test category": (lambda f: relabel(f, "t1", "t1.mp4,0,normal,test,"), None, None),
    "test video removed": (lambda f: removed(f, "t3"), "measuring", "1 test video removed: t3.mp4"),
    "test video added": (lambda f: added(f, "t5"), "fitting", "1 test video added: t5.mp4 (normal)"),
    "test video replaced": (lambda f: write_features(f, "t0", 50), "fitting", "1 test video replaced: t0.mp4"),
    "label": (
        lambda f: relabel(f, "n2", "n2.mp4,1,fall,train"), "training",
        "1 training video changed: n2.mp4 (label 0 → 1, category normal → fall)",
    ),
    "category": (
        lambda f: relabel(f, "a2", "a2.mp4,1,fight,train"), "training",
        "1 training video changed: a2.mp4 (category fall → fight)",
    ),
    "category that is new": (
        lambda f: relabel(f, "a2", "a2.mp4,1,fire,train"), "training",
        "1 training video changed: a2.mp4 (category fall → fire)",
    ),
    "split": (
        lambda f: relabel(f, "n3", "n3.mp4,0,normal,test"), "training",
        "1 training video removed: n3.mp4; 1 test video added: n3.mp4 (normal)",
    ),
    "video added": (lambda f: added(f, "b2"), "training", "1 training video added: b2.mp4 (normal)"),
    "video removed": (lambda f: removed(f, "n1"), "training", "1 training video removed: n1.mp4"),
    "video replaced": (lambda f: write_features(f, "n4", 51), "training", "1 training video replaced: n4.mp4"),
    "video renamed": (
        lambda f: renamed(f, "n1", "n9"), "training",
        "1 training video added: n9.mp4 (normal); 1 training video removed: n1.mp4",
    ),
}  # fmt: skip


def state(out: Path) -> dict[str, bytes]:
    """All files that tell what was learned and measured, by what they tell."""
    found = {}
    for path in sorted(out.rglob("*")):
        kind = {"model.safetensors": "weights", "metrics.json": "metrics", "selection.json": "selection"}.get(path.name)
        if kind and path.is_file():
            found[f"{kind} {path.relative_to(out)}"] = path.read_bytes()
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_folders_that_have_moved_are_no_change(verb, first, tmp_path, capsys):
    shutil.copytree(first(verb), tmp_path / "copy")
    data, out = tmp_path / "copy" / "set", tmp_path / "copy" / "out"
    before = state(out)
    capsys.readouterr()
    assert main(VERBS[verb](data, out)) == 0
    assert "changed" not in capsys.readouterr().err and state(out) == before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("verb", VERBS)
def test_the_same_command_does_again_what_changed(verb, change, first, tmp_path, capsys):
    mutate, again, sentence = CHANGES[change]
    shutil.copytree(first(verb), tmp_path / "copy")
    data, out = tmp_path / "copy" / "set", tmp_path / "copy" / "out"
    before = state(out)
    mutate(data)
    capsys.readouterr()
    assert main(VERBS[verb](data, out)) == 0
    said = capsys.readouterr().err
    after = state(out)
    if again is None:
        assert "changed" not in said and after == before
        return
    assert f"the data has changed, so {again} again: " in said and sentence in said
    kinds = {name.split()[0] for name in before if before[name] != after[name]}
    if again == "measuring":
        assert "weights" not in kinds and kinds <= {"metrics"}
    elif again == "fitting":  # the same training videos give the same weights and the same selection
        assert kinds <= {"metrics"}
    elif change not in ("category", "category that is new", "video renamed"):  # which this method does not learn from
        assert "weights" in kinds


OTHER = {
    "configuration": (["--config.lr", "0.5"], "another 'config'"),
    "protocol": (["--points", "2"], "another 'protocol' (points: 1, now 2)"),
    "hold-out": (["--hold-out", "0"], "another 'protocol' (hold_out: 0.3, now 0.0)"),
}


@pytest.mark.parametrize("other", OTHER)
@pytest.mark.parametrize("verb", VERBS)
def test_another_command_is_refused(verb, other, first, capsys):
    (option, value), sentence = OTHER[other]
    folder = first(verb)
    before = state(folder / "out")
    words = VERBS[verb](folder / "set", folder / "out")
    if option in words:
        words[words.index(option) + 1] = value
    else:
        words += [option, value]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert sentence in said and "give another --out" in said
    assert state(folder / "out") == before


# ---------------------------------------------------------------------------------------------------- evaluate


def evaluated(run: Path, data: Path, capsys) -> dict[str, float] | str:
    """Metrics of a run on the data as it is now, or the error."""
    capsys.readouterr()
    status = main(["evaluate", str(run), "--data", str(data), "--features", str(data / "features"), "--json"])
    out, err = capsys.readouterr()
    return json.loads(out) if status == 0 else err


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_never_tested_on_what_it_was_trained_on(change, first, tmp_path, capsys):
    mutate = CHANGES[change][0]
    shutil.copytree(first("fit"), tmp_path / "copy")
    data, run = tmp_path / "copy" / "set", tmp_path / "copy" / "out"
    before = evaluated(run, data, capsys)
    stored = RunFolder(run).read_metrics()["selection"]["last"]
    assert before["auc"] == pytest.approx(stored["auc"]["mean"])
    mutate(data)
    after = evaluated(run, data, capsys)
    if change == "split":
        assert "was trained on 1 of the 5 test videos, the first is n3.mp4" in after
    elif change in ("intervals", "test video removed", "test video added", "test video replaced"):
        assert after != before
    else:
        assert after == before


def test_a_training_video_under_another_name_is_known_by_its_content(first, tmp_path, capsys):
    shutil.copytree(first("fit"), tmp_path / "copy")
    data, run = tmp_path / "copy" / "set", tmp_path / "copy" / "out"
    record = json.loads((run / "fingerprint.json").read_text())
    record["features"]["rgb"]["decoder"] = "PyAV"  # as of videos that were decoded
    (run / "fingerprint.json").write_text(json.dumps(sealed(record)))
    renamed(data, "n1", "t9")
    write_labels(data, [row(n) if n != "n1" else "t9.mp4,0,normal,test" for n in NAMES])
    assert "was trained on 1 of the 5 test videos, the first is t9.mp4" in evaluated(run, data, capsys)


# ---------------------------------------------------------------------------------------------------- no split given


@pytest.fixture(scope="module")
def undivided(data, tmp_path_factory) -> Path:
    """The same videos without a split column: some are drawn for testing."""
    folder = tmp_path_factory.mktemp("undivided") / "set"
    shutil.copytree(data, folder)
    rows = [row(name).rsplit(",", 1)[0] for name in NAMES]
    (folder / "labels.csv").write_text("\n".join(["video,label,category", *rows]) + "\n")
    lines = [f"{name}.mp4,fall,32,64" for name in NAMES if name in ABNORMAL and name != "b1"]
    lines.append("b1.mp4,fight,32,64")
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *lines]) + "\n")
    return folder


@pytest.mark.parametrize("seed", ["0", "5"])
def test_every_verb_keeps_to_the_runs_own_split(seed, undivided, tmp_path, capsys):
    first = ["--first-seed", seed]
    run = tmp_path / "run"
    assert main([*fit(undivided, run), *first]) == 0
    stored = RunFolder(run).read_metrics()["selection"]["last"]
    assert evaluated(run, undivided, capsys)["auc"] == stored["auc"]["mean"]
    command = ["transfer", str(run), "--to", str(undivided), "--to-features", str(undivided / "features")]
    assert main([*command, "--out", str(tmp_path / "transfer")]) == 0
    assert f"| zero-shot | {100 * stored['auc']['mean']:.2f} |" in (tmp_path / "transfer" / "transfer.md").read_text()
    for verb in (bench, ablate):
        out = tmp_path / verb.__name__
        assert main([*verb(undivided, out), *first]) == 0
        for made in out.glob("*/model.json"):
            own = RunFolder(made.parent).read_metrics()["selection"]["last"]["auc"]["mean"]
            assert evaluated(made.parent, undivided, capsys)["auc"] == own
            sides = RunFolder(made.parent).split()
            assert len(sides) == len(NAMES) and set(sides.values()) == {"train", "test"}
    command = ["distill", str(run), "--to", "flow", "--out", str(tmp_path / "student"), *STUDENT, *FEW]
    assert main(command) == 0
    assert RunFolder(tmp_path / "student").split() == RunFolder(run).split()


def test_scores_are_not_measured_on_videos_that_were_drawn_for_testing(undivided, tmp_path, capsys):
    """A scores file does not say which videos its system was trained on, so no draw of ours can be right."""
    write_scores(tmp_path / "scores.npz", {f"{name}.mp4": np.linspace(0, 1, 96) for name in NAMES})
    assert main(["evaluate", str(tmp_path / "scores.npz"), "--data", str(undivided)]) == 2
    assert "add a column 'split' (train or test) to the labels" in capsys.readouterr().err
    rows = [f"{name}.mp4,{int(name in ABNORMAL)},{'test' if name in ('t0', 't2') else 'train'}" for name in NAMES]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["video,label,split", *rows]) + "\n")
    truth = ["--labels", str(labels), "--intervals", str(tmp_path / "intervals.csv")]
    (tmp_path / "intervals.csv").write_text("video,category,start_frame,end_frame\nt2.mp4,abnormal,32,64\n")
    assert main(["evaluate", str(tmp_path / "scores.npz"), "--data", str(undivided), *truth]) == 0
    assert f"{len(NAMES) - 2} training videos are left out" in capsys.readouterr().err


def test_added_clips_leave_the_others_where_they_were(undivided, tmp_path, capsys):
    shutil.copytree(undivided, tmp_path / "set")
    data, out = tmp_path / "set", tmp_path / "run"
    assert main(fit(data, out)) == 0
    before, held_out = RunFolder(out).split(), RunFolder(out).seed(0).read("held_out")["videos"]
    for number in range(5, 9):
        write_features(data, f"n{number}", number)
    rows = "".join(f"n{number}.mp4,0,normal\n" for number in range(5, 9))
    (data / "labels.csv").write_text((data / "labels.csv").read_text() + rows)
    assert main(fit(data, out)) == 0
    said, after = capsys.readouterr().err, RunFolder(out).split()
    assert "training video" in said and "added" in said and "removed" not in said
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 4
    assert {after[f"n{number}.mp4"] for number in range(5, 9)} == {"train", "test"}
    assert set(held_out) & set(RunFolder(out).seed(0).read("held_out")["videos"]) == set(held_out)


def test_another_command_is_refused_before_anything_is_extracted(tmp_path, capsys):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(4):
        write_clip(folder / f"v{number}.mp4", 40)
    (folder / "labels.csv").write_text("video,label\n" + "".join(f"v{n}.mp4,{n % 2}\n" for n in range(4)))
    command = ["train", str(folder), "--method", "mil", "--rgb", "motion", "--out", str(tmp_path / "out")]
    command += ["--workers", "0", *MIL, *FEW]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text("method: ur-dmu\n")
    assert main(command) == 1
    assert "give another --out" in capsys.readouterr().err
    assert not (tmp_path / "out" / "features").exists()


def test_features_of_a_release_are_learned_from_and_left_as_they_are(tmp_path, capsys):
    folder, release = tmp_path / "videos", tmp_path / "release" / "rgb"
    folder.mkdir()
    release.mkdir(parents=True)
    for number in range(6):
        write_clip(folder / f"v{number}.mp4", 40)
        np.save(release / f"v{number}.npy", np.random.default_rng(number).normal(size=(3, 4)).astype(np.float32))
    (folder / "labels.csv").write_text("video,label\n" + "".join(f"v{n}.mp4,{n % 2}\n" for n in range(6)))
    command = ["train", str(folder), "--method", "mil", "--features", str(release.parent), "--workers", "0"]
    assert main([*command, "--out", str(tmp_path / "out"), *MIL, *FEW]) == 0
    assert {path.suffix for path in release.iterdir()} == {".npy"}
    assert RunFolder(tmp_path / "out").load().widths == {"rgb": 4} and RunFolder(tmp_path / "out").report.is_file()
    assert main(["score", str(folder / "v0.mp4"), "--model", str(tmp_path / "out"), "--out", str(tmp_path / "s")]) == 1
    assert "encoder is not known" in capsys.readouterr().err
