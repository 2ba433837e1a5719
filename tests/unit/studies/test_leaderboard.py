"""Leaderboards: intervals and p-values against loops, what remakes a row, order, published numbers."""

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from places import ROOT, SHARED

from wsvad.cli.main import main
from wsvad.datasets.benchmark import DATASETS
from wsvad.device import library_threads
from wsvad.errors import UsageError, WsvadError
from wsvad.evaluation.certainty import against, intervals, resample
from wsvad.evaluation.curves import Curve, evaluate
from wsvad.evaluation.vocabulary import METRICS
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.metrics.bootstrap import draw
from wsvad.studies.bench import check_names, judge, ranked, toy_folder
from wsvad.studies.leaderboard import Leaderboard, as_markdown
from wsvad.studies.published import published
from wsvad.studies.run_card import command
from wsvad.training.protocol import Protocol

SPECIFICATION = SHARED / "reference" / "methods.md"
BUDGET = ["--iterations", "6", "--segments", "4", "--bags", "3", "--points", "2"]


def curves(seed: int, signal: float = 1.0) -> list[Curve]:
    """Twenty videos of one to nine snippets, half of them with abnormal frames, one of which nobody knows when."""
    rng, lengths = np.random.default_rng(seed), np.random.default_rng(0).integers(1, 10, 20)
    made = []
    for number, length in enumerate(lengths):
        positives = np.random.default_rng(number).integers(0, 17, length) * (number % 2)
        score = np.round(rng.normal(size=length) + signal * positives / 8, 1)
        made.append(
            Curve(
                video=f"v{number}", scores=score, lengths=np.full(length, 16), label=number % 2,
                positives=None if number == 3 else positives, category="fight" if number % 2 else "normal",
            )
        )  # fmt: skip
    return made


def test_a_cache_that_cannot_be_written_to_is_said_with_what_to_do(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WsvadError, match=r"file/wsvad: .*; the videos of toy are kept in this cache: set XDG_CACHE"):
        toy_folder()


def test_resamples_are_the_metrics_of_the_drawn_videos_averaged_over_seeds():
    seeds = [curves(1), curves(2)]
    found = resample(seeds)
    known = [[curve for curve in each if curve.positives is not None] for each in seeds]
    for row, times in enumerate(draw(19)[:30]):
        drawn = [[curve for curve, n in zip(each, times, strict=True) for _ in range(n)] for each in known]
        told = [evaluate(each) for each in drawn]
        for metric in ("auc", "auc_abnormal", "ap"):
            assert found[metric][row] == pytest.approx(np.mean([one[metric] for one in told]), nan_ok=True)
    for metric, (low, high) in intervals(found).items():
        assert low < np.mean([evaluate(each)[metric] for each in seeds]) < high


def test_a_method_is_as_good_as_itself_and_better_than_noise():
    good, same, noise = resample([curves(1)]), resample([curves(1)]), resample([curves(5, signal=0)])
    for found in against(good, same).values():
        assert (found["low"], found["high"], found["p"]) == (0, 0, 1)
    told = against(good, noise)["auc"]
    assert told["low"] > 0 and told["p"] < 0.01
    assert against(noise, good)["auc"]["p"] == told["p"]


def test_a_figure_that_one_of_two_methods_lacks_is_not_compared():
    """As those of a running camera, where one method's streams have too many crops for it."""
    both, rows = {"a": resample([curves(1)]), "b": resample([curves(5)])}, {}
    for name in both:
        metrics = {key: {"mean": 0.5} for key in ("auc", "auc_abnormal", "ap", "events_found_online")}
        rows[name] = [{"metrics": metrics, "intervals": {}}]
    for fuller, other in (("a", "b"), ("b", "a")):
        given = {fuller: both[fuller] | {"events_found_online": np.full(1000, 0.5)}, other: both[other]}
        del rows[other][0]["metrics"]["events_found_online"]
        judge(rows, given, baseline="b")
        assert set(rows["a"][0]["against"]) == {"method", "auc", "auc_abnormal", "ap"}
        rows[other][0]["metrics"]["events_found_online"] = {"mean": 0.5}


def test_without_any_known_truth_there_is_no_interval():
    assert resample([[curves(1)[3]]]) == {}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Sixteen videos with features of one stream, and labels."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    rows = ["video,label,category,split"]
    for number in range(16):
        label, length = number % 2, 3 + number % 4
        rows.append(f"v{number},{label},{('normal', 'fight')[label]},{'train' if number < 8 else 'test'}")
        features = (rng.normal(size=(length, 5)) + label).astype(np.float32)
        passport = Passport(encoder="made", width=5, frames=16 * length)
        save(
            feature_path(folder / "features", "rgb", f"v{number}"), StoredFeatures(features=features, passport=passport)
        )
    (folder / "labels.csv").write_text("\n".join(rows))
    spans = [f"v{number},fight,0,32" for number in range(9, 16, 2)]
    (folder / "intervals.csv").write_text("\n".join(["video,category,start_frame,end_frame", *spans]))
    return folder


def bench(data: Path, methods: str, out: Path, *more: str, seeds: int = 2) -> None:
    given = ["--data", str(data), "--features", str(data / "features"), "--methods", methods, "--out", str(out)]
    assert main(["bench", *given, *BUDGET, "--seeds", str(seeds), *more]) == 0


@pytest.fixture(scope="module")
def made(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    bench(data, "mil,rtfm", out, "--headline", "far", "--against", "rtfm")
    return out


def test_linear_is_what_the_others_are_compared_with(data, tmp_path, capsys):
    more = tmp_path / "more"
    more.mkdir()
    rows = (data / "labels.csv").read_text().replace("v0,0,normal,train", "v0,0,normal,test")
    (more / "labels.csv").write_text(rows.replace("v1,1,fight,train", "v1,1,fight,test"))
    (more / "intervals.csv").write_text((data / "intervals.csv").read_text() + "\nv1,fight,0,32")
    (more / "features").symlink_to(data / "features")
    bench(more, "mil,linear", tmp_path / "bench", seeds=1)
    told = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert told["baseline"] == "linear"
    (said,) = told["remarks"]
    assert said.startswith("mil is ") and " linear" in said
    assert said in capsys.readouterr().err
    for name in ("bench.md", "bench.html"):
        assert said in (tmp_path / "bench" / name).read_text()


def test_the_files_hold_rows_intervals_costs_and_comparisons(made):
    told = json.loads((made / "bench.json").read_text())
    assert (told["headline"], told["baseline"], told["videos"]) == ("far", "rtfm", {"fight": 4})
    order = [row["metrics"]["far"]["mean"] for row in told["rows"] if row["selection"] == "last"]
    assert order == sorted(order)
    for row in told["rows"]:
        assert row["features"] == {"rgb": "made 5"}
        assert row["peak_memory"] > 10_000_000
        assert ("intervals" in row) == (row["selection"] == "last")
        assert ("against" in row) == (row["selection"] == "last" and row["method"] == "mil")
    better = next(row["against"]["auc"] for row in told["rows"] if "against" in row)
    means = {row["method"]: row["metrics"]["auc"]["mean"] for row in told["rows"] if row["selection"] == "last"}
    assert better["difference"] == pytest.approx(means["mil"] - means["rtfm"])
    assert better["low"] <= better["difference"] <= better["high"] and 0 < better["p"] <= 1
    with (made / "bench.csv").open() as file:
        lines = list(csv.DictReader(file))
    old = ["data", "method", "streams", "selection", "metric", "seed", "value", "parameters"]
    assert list(lines[0])[: len(old)] == old
    first = next(row for row in told["rows"] if row["method"] == "mil")
    kept = next(li for li in lines if (li["method"], li["selection"], li["metric"]) == ("mil", "last", "auc"))
    assert [float(kept["low"]), float(kept["high"])] == first["intervals"]["auc"]
    assert float(kept["value"]) == first["metrics"]["auc"]["values"][0]


def test_the_command_of_a_card_remakes_the_row(data, made, tmp_path, capsys):
    told = json.loads((made / "bench.json").read_text())
    card = told["cards"]["mil"]
    assert card["seeds"] == [0, 1] and card["iterations"] == {"train": 6}
    assert card["features"]["rgb"]["encoder"] == "made" and set(card["versions"]) >= {"wsvad", "torch", "python"}
    words = shlex.split(card["command"])
    assert words[0] == "wsvad"
    words[words.index("--out") + 1] = str(tmp_path / "again")
    capsys.readouterr()
    assert main([*words[1:], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["rows"]
    assert [row["metrics"] for row in again] == [row["metrics"] for row in told["rows"] if row["method"] == "mil"]


def test_run_again_nothing_is_fitted_again(data, made):
    before = {path: path.stat().st_mtime_ns for path in made.glob("*/seed-*/*")}
    page = (made / "bench.html").read_text()
    with library_threads(5):  # a page is of what was fitted, whatever process writes it again
        bench(data, "mil,rtfm", made, "--headline", "far", "--against", "rtfm")
    assert {path: path.stat().st_mtime_ns for path in made.glob("*/seed-*/*")} == before
    assert (made / "bench.html").read_text() == page


def test_a_command_says_what_is_not_the_default(tmp_path):
    from wsvad.methods.dakd import DakdConfig
    from wsvad.methods.pi_vad import PiVadConfig
    from wsvad.methods.ur_dmu import UrDmuConfig

    plain = Protocol(budget="data", normalise="standardise")
    dakd = DakdConfig(backbones=("rgb", "motion"), test="native")
    told = command("toy", "dakd", dakd, plain, {"rgb": "motion", "s": "motion"}, None, Path("out"))
    assert told == (
        """wsvad bench --data toy --methods dakd --config.backbones '["rgb", "motion"]' --rgb motion """
        "--stream s=motion --out out"
    )
    nested = PiVadConfig(ur_dmu=UrDmuConfig(hidden=64), latent=8, **PiVadConfig.data_budget)
    assert "--config.ur-dmu.hidden 64 --config.latent 8" in command("toy", "pi-vad", nested, plain, {}, None, Path("o"))
    published = command("toy", "dakd", dakd, Protocol(), {}, None, Path("o"))
    assert "--budget paper" in published and "--config.test native" in published


def test_options_of_one_method_are_taken_and_of_several_refused(data, tmp_path, capsys):
    bench(data, "mil", tmp_path / "a", "--config.hidden", "[8, 4]")
    assert json.loads((tmp_path / "a" / "bench.json").read_text())["rows"][0]["parameters"] == 5 * 8 + 8 + 8 * 4 + 4 + 5
    assert main(["bench", "--data", str(data), "--methods", "mil,rtfm", "--config.hidden", "[8, 4]"]) == 2
    assert "--config hidden: no method here is 'hidden'; write METHOD.FIELD=VALUE" in capsys.readouterr().err


def test_each_method_has_its_configuration_and_its_command_remakes_it(data, tmp_path, capsys):
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "mil: {hidden: [8, 4], lr: 5e-1, eps: 1e-4}\n"
        "pi-vad: {encoder-relu: no, profile: light, ur_dmu: {hidden: 16, head: 8}}\n"
    )
    save_other_streams(data)
    given = ["--config", str(settings), "--config", "mil.lr=0.25", "--config", "pi-vad.ur-dmu.feed_forward=16"]
    given += ["--config.pi-vad.ur-dmu.heads", "2", "--config", "pi-vad.latent=8", "--modalities", "pose, flow"]
    bench(data, "mil, pi-vad", tmp_path / "a", *given, "--config", "pi-vad.wide_heads=2", seeds=1)
    told = json.loads((tmp_path / "a" / "bench.json").read_text())
    assert yaml.safe_load((tmp_path / "a" / "mil" / "config.yaml").read_text())["config"]["lr"] == 0.25
    assert yaml.safe_load((tmp_path / "a" / "mil" / "config.yaml").read_text())["config"]["eps"] == 1e-4
    config = yaml.safe_load((tmp_path / "a" / "pi-vad" / "config.yaml").read_text())["config"]
    assert (config["profile"], config["latent"], config["modalities"]) == ("light", 8, ["pose", "flow"])
    assert config["encoder_relu"] is False
    sizes = {name: config["ur_dmu"][name] for name in ("hidden", "head", "feed_forward", "heads", "depth")}
    assert sizes == {"hidden": 16, "head": 8, "feed_forward": 16, "heads": 2, "depth": 2}
    for name in ("mil", "pi-vad"):
        words = shlex.split(told["cards"][name]["command"])
        words[words.index("--out") + 1] = str(tmp_path / f"again-{name}")
        capsys.readouterr()
        assert main([*words[1:], "--json"]) == 0
        again = json.loads(capsys.readouterr().out)["rows"]
        assert [r["metrics"] for r in again] == [r["metrics"] for r in told["rows"] if r["method"] == name]


def save_other_streams(data: Path) -> None:
    """Pose and flow beside the rgb features."""
    for path in (data / "features" / "rgb").glob("*.safetensors"):
        for stream in ("pose", "flow"):
            (data / "features" / stream).mkdir(exist_ok=True)
            (data / "features" / stream / path.name).write_bytes(path.read_bytes())


def test_a_row_on_released_features_says_so_and_its_command_names_no_encoder(data, tmp_path):
    (tmp_path / "i3d").mkdir()
    for number in range(16):
        features = np.random.default_rng(number).normal(size=(3 + number % 4, 5)).astype(np.float32)
        np.save(tmp_path / "i3d" / f"v{number}.npy", features)
    place, out = f"rgb={tmp_path / 'i3d'}", tmp_path / "out"
    given = ["--data", str(data), "--features", place, "--methods", "mil", "--rgb", "motion", "--out", str(out)]
    assert main(["bench", *given, *BUDGET, "--seeds", "1"]) == 0
    told = json.loads((out / "bench.json").read_text())
    assert told["rows"][0]["features"] == {"rgb": "release 5"}
    words = shlex.split(told["cards"]["mil"]["command"])
    assert words[words.index("--features") + 1] == place and "--rgb" not in words


def test_wrong_names_are_told_before_any_work():
    with pytest.raises(UsageError, match="--headline aux: no such metric; choose one of: auc"):
        check_names({"mil": 0}, "aux", "mil")
    with pytest.raises(UsageError, match="--against dakd: it is not among the methods; choose one of: mil"):
        check_names({"mil": 0}, None, "dakd")


def test_methods_without_the_headline_come_last():
    values = {"a": {}, "b": {"map": {"mean": 0.2}}, "c": {"map": {"mean": 0.4}}}
    rows = {name: [{"method": name, "metrics": metrics}] for name, metrics in values.items()}
    assert [row["method"] for row in ranked(rows, "map")] == ["c", "b", "a"]


# --------------------------------------------------------------------------------------------------------- published


def test_published_numbers_are_of_known_datasets_and_metrics_and_have_a_source():
    told = [one for name in DATASETS for one in published(name)]
    text = (ROOT / "src/wsvad/studies/published.csv").read_text("utf-8")
    assert sum(len(one.metrics) for one in told) == len(text.splitlines()) - 1  # none is of an unknown dataset
    for one in told:
        assert set(one.metrics) <= set(METRICS) and one.source and one.features
        assert all(0.04 < value < 1 for value in one.metrics.values())
    by_name = {(one.method, one.features): one.metrics for one in published("ucf-crime")}
    assert by_name["UR-DMU", "I3D"] == pytest.approx({"auc": 0.8697, "auc_abnormal": 0.7081})
    assert published(None) == published("toy") == []


@pytest.mark.real
@pytest.mark.skipif(not SPECIFICATION.is_file(), reason="the specification is not beside the project")
def test_every_published_number_stands_in_the_specification():
    reported = SPECIFICATION.read_text("utf-8").partition("# PART IV")[2]
    with (ROOT / "src/wsvad/studies/published.csv").open(encoding="utf-8") as file:
        assert [line for line in csv.DictReader(file) if line["value"] not in reported] == []


def test_published_numbers_stand_below_ours_with_their_source(made):
    told = json.loads((made / "bench.json").read_text())
    board = Leaderboard(
        data="ucf-crime", headline="auc", baseline="rtfm", rows=told["rows"], published=published("ucf-crime")
    )
    text = as_markdown(board)
    assert "| RTFM | I3D | 84.30 | 62.96 |" in text and "| π-VAD, table 1 |" in text
    assert text.index("| GS-MoE |") < text.index("| π-VAD | I3D | 90.33") < text.index("| RTFM |")


def test_memory_is_counted_from_the_last_time_it_was_forgotten():
    """In a process of its own: what other tests have left may be given back meanwhile."""
    script = (
        "import numpy as np\n"
        "from wsvad.evaluation.cost import forget_peak_memory, peak_memory\n"
        "forget_peak_memory(); before = peak_memory()\n"
        "np.ones(30_000_000)  # 240 MB, let go at once\n"
        "most = peak_memory(); forget_peak_memory()\n"
        "print(most - before, peak_memory() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown, left = map(int, done.stdout.split())
    assert 200e6 < grown < 400e6
    if Path("/proc/self/clear_refs").exists():
        assert left < 100e6
