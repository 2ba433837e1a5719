"""Without a column `split`, every verb divides the videos as the run that it measures did; whatever the seed."""

import json

import numpy as np
import pytest

from wsvad.cli.main import main
from wsvad.datasets.open import open_dataset
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.runs.folder import RunFolder

NUMBERS = ["--iterations", "2", "--points", "1", "--segments", "4", "--bags", "2", "--hold-out", "0"]
MIL = ["--config.hidden", "[4,2]"]
SMALL = [
    "--config.hidden", "8", "--config.heads", "2", "--config.feed-forward", "8", "--config.head", "4",
    "--config.gate", "4", "--config.warm-up-iterations", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty videos with features, and no column `split`."""
    folder = tmp_path_factory.mktemp("data")
    labelled(folder, range(20))
    return folder


def write(folder, number: int) -> None:
    x = np.random.default_rng(number).normal(size=(6, 4)).astype(np.float32)
    x[2:4] += number % 2
    passport = Passport(encoder="test", width=4, frames=96, frame_rate="30", source=str(number))
    save(feature_path(folder / "features", "rgb", f"v{number}.mp4"), StoredFeatures(features=x, passport=passport))


def learned(run) -> set[str]:
    return set(RunFolder(run).fingerprint()["training"])


def measured(run, data, capsys) -> dict[str, float]:
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(data), "--features", str(data / "features"), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def stored(run) -> dict[str, float]:
    return {name: value["mean"] for name, value in RunFolder(run).read_metrics()["selection"]["last"].items()}


def without_record(run) -> None:
    """As version 0.1 wrote it: no fingerprint, and the test videos by name in each seed's result."""
    tested = RunFolder(run).fingerprint()["test"]
    (run / "fingerprint.json").unlink()
    for path in run.glob("seed-*/result.json"):
        record = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("sha256", "weights")}
        path.write_text(json.dumps(record | {"test_scores": {name: [0.5] for name in tested}}))


@pytest.mark.parametrize("seed", [0, 5])
def test_each_verb_tests_on_what_its_run_has_not_seen(seed, data, tmp_path, capsys):
    common = [*NUMBERS, "--first-seed", str(seed), "--features", str(data / "features")]
    assert main(["fit", str(data), "--method", "mil", "--out", str(tmp_path / "fit"), *MIL, *common]) == 0
    bench = ["bench", "--data", str(data), "--methods", "mil", "--out", str(tmp_path / "bench")]
    assert main([*bench, *MIL, *common]) == 0
    table = ["refinevad", "--table", "lambda1", "--data", str(data), "--out", str(tmp_path / "ablate")]
    assert main(["ablate", *table, *SMALL, *common]) == 0
    runs = [tmp_path / "fit", tmp_path / "bench" / "mil", *(p.parent for p in tmp_path.glob("ablate/*/model.json"))]
    assert len(runs) > 3
    for run in runs:
        split = RunFolder(run).split()
        assert len(split) == 20 and set(split.values()) == {"train", "test"}
        found, kept = measured(run, data, capsys), stored(run)
        assert found["auc"] == pytest.approx(kept["auc"], abs=1e-6)
        assert found["ap"] == pytest.approx(kept["ap"], abs=1e-6)
        # Another dataset that happens to be the same one: its test videos are those of the run.
        out = tmp_path / f"transfer-{run.name}"
        there = ["--to", str(data), "--to-features", str(data / "features"), "--out", str(out)]
        assert main(["transfer", str(run), *there, *([] if run.name in ("fit", "mil") else NUMBERS)]) == 0
        zero_shot = (out / "transfer.csv").read_text().splitlines()
        (auc,) = (float(line.split(",")[3]) for line in zero_shot if line.startswith("zero-shot,auc,"))
        assert auc == pytest.approx(kept["auc"], abs=1e-6)
        for trained in out.glob("*/model.json"):
            assert not learned(trained.parent) & set(RunFolder(run).fingerprint()["test"])


@pytest.mark.parametrize("seed", [0, 5])
def test_a_run_that_did_not_record_its_split_is_divided_as_it_was(seed, data, tmp_path, capsys):
    run = tmp_path / "fit"
    common = [*NUMBERS, "--first-seed", str(seed), "--features", str(data / "features")]
    assert main(["fit", str(data), "--method", "mil", "--out", str(run), *MIL, *common]) == 0
    without_record(run)
    assert measured(run, data, capsys)["auc"] == pytest.approx(stored(run)["auc"], abs=1e-6)


def test_a_run_that_did_not_record_its_split_is_not_tested_on_what_it_may_have_learned(data, tmp_path, capsys):
    """`bench` of version 0.1 divided by seed 0, whatever the first seed."""
    common = [*NUMBERS, "--first-seed", "5", "--features", str(data / "features")]
    assert main(["bench", "--data", str(data), "--methods", "mil", "--out", str(tmp_path), *MIL, *common]) == 0
    run = tmp_path / "mil"
    without_record(run)
    tested = {video.name for video in open_dataset(data, seed=0).test}
    assert tested != {video.name for video in open_dataset(data, seed=5).test}
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(data), "--features", str(data / "features")]) == 2
    assert "may have been trained on" in capsys.readouterr().err


def test_a_transfer_keeps_the_split_of_its_runs_when_videos_are_added(tmp_path):
    """Where the run knows none of the videos, they stay on the sides that the first transfer drew."""
    home, there, out = tmp_path / "home", tmp_path / "there", tmp_path / "out"
    for folder, numbers in ((home, range(100, 120)), (there, range(12))):
        labelled(folder, numbers)
    common = [*NUMBERS, "--features", str(home / "features")]
    assert main(["fit", str(home), "--method", "refinevad", "--out", str(tmp_path / "run"), *SMALL, *common]) == 0
    command = ["transfer", str(tmp_path / "run"), "--to", str(there), "--to-features", str(there / "features")]
    assert main([*command, "--out", str(out), *NUMBERS]) == 0
    before = RunFolder(out / "trained-there").split()
    labelled(there, range(30))
    assert main([*command, "--out", str(out), *NUMBERS]) == 0
    after = RunFolder(out / "trained-there").split()
    assert len(after) == 30 and before == {name: after[name] for name in before}


def test_a_run_measured_where_all_is_training_is_told(data, tmp_path, capsys):
    common = [*NUMBERS, "--features", str(data / "features")]
    assert main(["fit", str(data), "--method", "mil", "--out", str(tmp_path / "run"), *MIL, *common]) == 0
    rows = (data / "labels.csv").read_text().splitlines()
    known = [row for row in rows[1:] if row.split(",")[0] in learned(tmp_path / "run")]
    (tmp_path / "labels.csv").write_text("\n".join([rows[0], *known]) + "\n")
    capsys.readouterr()
    some = ["--data", str(tmp_path), "--features", str(data / "features")]
    assert main(["evaluate", str(tmp_path / "run"), *some]) == 2
    assert "there are no test videos" in capsys.readouterr().err


def test_a_camera_is_on_one_side_of_every_division(tmp_path, capsys):
    """Six cameras of four videos each, spelt in two ways: the test split, the held-out part, and both after more videos
    of one camera came."""
    data, run = tmp_path / "data", tmp_path / "run"
    labelled(data, range(25))

    def table(numbers) -> None:
        rows = [f"v{n}.mp4,{n % 2},{'Cam' if n % 3 else ' CAM'} {n // 4 % 6}" for n in numbers]
        (data / "labels.csv").write_text("video,label,camera\n" + "\n".join(rows) + "\n")

    def cameras(names) -> set[int]:
        return {int(name[1:-4]) // 4 % 6 for name in names}

    def fit() -> tuple[set[int], set[int], set[int]]:
        capsys.readouterr()
        assert main(["fit", str(data), "--method", "mil", "--out", str(run), *MIL, *NUMBERS[:-2],
                     "--features", str(data / "features")]) == 0  # fmt: skip
        split = RunFolder(run).split()
        held = json.loads((run / "seed-0" / "held_out.json").read_text())["videos"]
        train = {name for name, side in split.items() if side == "train"}
        test = split.keys() - train
        return cameras(test), cameras(held), cameras(train - set(held))

    table(range(24))
    test, held, kept = fit()
    assert not test & held and not test & kept and not held & kept
    assert (len(test), len(held), len(kept)) == (2, 1, 3)
    assert "one scene" not in capsys.readouterr().err
    table(range(25))
    assert fit() == (test, held, kept)


def test_one_camera_is_said_to_promise_nothing_of_another(tmp_path, capsys):
    data = tmp_path / "data"
    labelled(data, range(12))
    rows = [f"v{n}.mp4,{n % 2},{'yard' if n else 'unknown'},{'test' if n > 9 else 'train'}" for n in range(12)]
    (data / "labels.csv").write_text("video,label,camera,split\n" + "\n".join(rows) + "\n")
    fit = ["fit", str(data), "--method", "mil", *MIL, *NUMBERS[:-2], "--features", str(data / "features")]
    assert main([*fit, "--out", str(tmp_path / "run")]) == 0
    said = "9 of 10 training videos show one scene, or scenes that they share, so held-out videos show what was"
    assert said in " ".join(capsys.readouterr().err.split())
    assert any(said in remark for remark in RunFolder(tmp_path / "run").read_metrics()["remarks"])
    assert main([*fit, "--out", str(tmp_path / "all"), "--hold-out", "0"]) == 0
    assert "one scene" not in capsys.readouterr().err


def labelled(folder, numbers) -> None:
    """Videos without a column `split`; odd numbers are abnormal."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write(folder, number)
    rows = [f"v{number}.mp4,{number % 2},{'fall' if number % 2 else 'normal'}" for number in numbers]
    (folder / "labels.csv").write_text("\n".join(["video,label,category", *rows]) + "\n")
    rows = [f"v{number}.mp4,fall,32,64" for number in numbers if number % 2]
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *rows]) + "\n")
