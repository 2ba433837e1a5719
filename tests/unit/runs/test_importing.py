"""Public checkpoints as runs: what is read, what is refused, and that scores are those of the network in the file."""

import argparse
import json
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from torch import nn

from wsvad.cli.main import main
from wsvad.errors import UsageError, WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, save
from wsvad.methods.dakd import DakdConfig
from wsvad.methods.mil import MilConfig
from wsvad.methods.rtfm import Rtfm, RtfmConfig
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs.importing import import_checkpoint
from wsvad.runs.model import load_method, save_method
from wsvad.training.distill import lesson_of
from wsvad.weights import read_weights

WIDTH = 16
SMALL = {
    "ur-dmu": (UrDmu, UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8)),
    "rtfm": (Rtfm, RtfmConfig(head=(8, 4))),
}
OPTIONS = {
    "ur-dmu": "--config.hidden=16 --config.heads=2 --config.feed-forward=16 --config.abnormal-slots=5 "
    "--config.normal-slots=5 --config.head=8",
    "rtfm": "--config.head=[8,4]",
}


def network(name: str):
    torch.manual_seed(0)
    kind, config = SMALL[name]
    return kind({"rgb": WIDTH}, config).eval()


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "ucf_trans.pkl"
    torch.save(network("ur-dmu").to_official(), path)
    return path


def told(path: Path, name: str = "ur-dmu", out: Path | None = None) -> str:
    """The error of an import, which is one line and names the file."""
    with pytest.raises(WsvadError) as error:
        import_checkpoint(path, name, SMALL[name][1], out or path.parent / "run")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


# ------------------------------------------------------------------------------------------------------ what is read


@pytest.mark.parametrize("name", list(SMALL))
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "wrapped", "parallel", "parameters"])
def test_the_run_is_the_network_in_the_file(name, form, tmp_path):
    method = network(name)
    weights = method.to_official()
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pkl")
    match form:
        case "safetensors":
            save_file(weights, path)
        case "wrapped":
            torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": weights}, path)
        case "parallel":
            torch.save({f"module.{key}": value for key, value in weights.items()}, path)
        case "parameters":
            torch.save({key: nn.Parameter(value, value.is_floating_point()) for key, value in weights.items()}, path)
        case _:
            torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    import_checkpoint(path, name, SMALL[name][1], tmp_path / "run")
    trained, x = load_method(tmp_path / "run"), torch.randn(1, 2, 40, WIDTH)
    assert torch.equal(trained.method({"rgb": x}), method({"rgb": x}))
    assert (trained.name, trained.widths, trained.normalisation.kinds) == (name, {"rgb": WIDTH}, {"rgb": "none"})


@pytest.mark.parametrize("key", ["net", "model_state", "model", "state_dict", "best_generator"])
@pytest.mark.parametrize("prefix", ["", "model.", "module.model.", "_orig_mod."])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_network_inside_of_something_else_is_the_same(name, prefix, key, tmp_path):
    """With what training scripts keep beside it, none of which is made: a NumPy number, an array, their options."""
    method = network(name)
    weights = {f"{prefix}{key}": value for key, value in method.to_official().items()}
    options = argparse.Namespace(lr=1e-4, root=Path("/x"), seeds=[1, 2])
    beside = {"auc": np.float64(0.87), "curve": np.arange(3.0), "args": options, "optimizer": {"state": {}}, "epoch": 7}
    torch.save({key: weights, **beside}, tmp_path / "a.pkl")
    found = read_weights(tmp_path / "a.pkl")
    assert found.keys() == weights.keys()
    loaded = SMALL[name][0].from_official(found, SMALL[name][1]).eval()
    x = torch.randn(1, 2, 40, WIDTH)
    assert torch.equal(loaded({"rgb": x}), method({"rgb": x}))


@pytest.mark.parametrize(
    ("key", "beside"),
    [
        ("state_dict", {"best_auc": torch.tensor(0.87)}),
        ("net", {"epoch": torch.tensor([7]), "centre": torch.zeros(512), "optimizer": {"lr": 0.1}}),
        ("best_generator", {"best_auc": torch.tensor(0.87)}),
    ],
)
def test_tensors_beside_the_weights_are_no_weights(key, beside, tmp_path):
    weights = network("rtfm").to_official()
    torch.save({**beside, key: weights}, tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("around", [["model"], ["state_dict", "net"]])
def test_a_checkpoint_that_contains_itself_is_refused(around, tmp_path):
    held: dict = {}
    inside = held
    for key in around[:-1]:
        inside[key] = {}
        inside = inside[key]
    inside[around[-1]] = held
    for legacy in (False, True):
        torch.save(held, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
        assert f"'{around[0]}' contains itself; save model.state_dict()" in told(tmp_path / "a.pt")


@pytest.fixture
def dataset(tmp_path) -> tuple[Path, Path]:
    """Two training and six test videos, three of these abnormal in their middle, with two crops of random features."""
    data, features, rng = tmp_path / "data", tmp_path / "features", np.random.default_rng(0)
    data.mkdir()
    lines, truth = ["video,label,split,frames"], ["video,category,start_frame,end_frame"]
    for i in range(8):
        frames = 100 + 37 * i
        lines.append(f"v{i},{i % 2},{'train' if i < 2 else 'test'},{frames}")
        if i % 2:
            truth.append(f"v{i},fight,{frames // 3},{frames // 2}")
        rows = rng.normal(size=(2, -(-frames // 16), WIDTH)).astype(np.float32)
        save(
            feature_path(features, "rgb", f"v{i}"),
            StoredFeatures(features=rows, passport=Passport(encoder="i3d", width=WIDTH, frames=frames)),
        )
    (data / "labels.csv").write_text("\n".join(lines))
    (data / "intervals.csv").write_text("\n".join(truth))
    return data, features


@pytest.mark.parametrize("name", list(SMALL))
def test_import_then_evaluate_is_the_networks_own_auc(name, dataset, tmp_path, capsys):
    data, features = dataset
    method = network(name)
    torch.save(method.to_official(), tmp_path / "official.pth")
    given = ["import", str(tmp_path / "official.pth"), "--method", name, "--out", str(tmp_path / "run")]
    assert main([*given, *OPTIONS[name].split()]) == 0
    assert f"rgb features of width {WIDTH}" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data), "--features", str(features), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["auc"]
    scores, labels = [], []
    for i in range(2, 8):
        frames = 100 + 37 * i
        x = load_file(feature_path(features, "rgb", f"v{i}"))["features"][None]
        scores.append(method({"rgb": x})[0].detach().numpy().repeat(16)[:frames])
        labels.append([int(i % 2 and frames // 3 <= f < frames // 2) for f in range(frames)])
    assert found == pytest.approx(roc_auc_score(np.concatenate(labels), np.concatenate(scores)), abs=1e-6)


def test_features_of_another_width_are_told(dataset, tmp_path, capsys):
    data, features = dataset
    torch.manual_seed(0)
    torch.save(Rtfm({"rgb": 24}, SMALL["rtfm"][1]).to_official(), tmp_path / "wide.pkl")
    import_checkpoint(tmp_path / "wide.pkl", "rtfm", SMALL["rtfm"][1], tmp_path / "run")
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(data), "--features", str(features)]) == 1
    assert "v2: rgb features of width 16, but this run of rtfm reads 24" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert "so it stores no metrics; name --data and --features" in capsys.readouterr().err


def test_an_imported_run_is_carried_elsewhere(dataset, checkpoint, tmp_path, capsys):
    """Nobody knows how the features were made that it learned from."""
    data, features = dataset
    run = tmp_path / "run"
    import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], run)
    assert main(["evaluate", str(run), "--data", str(data), "--features", str(features), "--json"]) == 0
    auc = json.loads(capsys.readouterr().out)["auc"]
    command = ["transfer", str(run), "--to", str(data), "--to-features", str(features), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert f"| zero-shot | {100 * auc:.2f} |" in capsys.readouterr().out


MADE = Passport(encoder="i3d", width=WIDTH, frames=16)
RELEASED = Passport(encoder="release", width=WIDTH, frames=16, settings={"crops": 10}, tail="unknown")


@pytest.mark.parametrize(
    "learned, there, difference",
    [
        (MADE, MADE, None),
        (MADE, replace(MADE, decoder="PyAV 99", frames=7, source="b" * 64), None),
        (MADE, replace(MADE, weights="a" * 64), r"weights: None against a{64}"),
        (MADE, replace(MADE, settings={"crops": 5}), r"settings.crops: None against 5"),
        (RELEASED, replace(RELEASED, settings={"crops": 5}), None),
        (RELEASED, MADE, "encoder: release against i3d"),
    ],
)
def test_a_run_is_measured_with_features_that_are_made_as_its_own(
    learned, there, difference, dataset, checkpoint, tmp_path, capsys
):
    data, features = dataset
    run = tmp_path / "run"
    import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], run)
    save_method(run, replace(load_method(run), passports={"rgb": learned.identity()}))
    for i in range(8):
        path = feature_path(features, "rgb", f"v{i}")
        stored = load(path)
        save(path, replace(stored, passport=replace(there, frames=stored.passport.frames)))
    for command in (
        ["evaluate", str(run), "--data", str(data), "--features", str(features)],
        ["transfer", str(run), "--to", str(data), "--to-features", str(features), "--out", str(tmp_path / "out")],
    ):
        assert main(command) == (1 if difference else 0)
        told = " ".join(capsys.readouterr().err.split())
        made = rf"features: its rgb features were made differently from those of \S*run \({difference}\); extract them"
        assert bool(re.search(made, told)) is bool(difference)


def test_an_imported_run_can_teach_a_student(dataset, checkpoint, tmp_path):
    data, features = dataset
    run = tmp_path / "run"
    import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], run)
    lesson = lesson_of(run, "rgb", DakdConfig(), {}, data=data, features=features)
    assert (lesson.config.given, lesson.config.learns_from, len(lesson.dataset.train)) == ("ur-dmu", ("rgb",), 2)
    with pytest.raises(UsageError, match="name their folder with --data"):
        lesson_of(run, "rgb", DakdConfig(), {})
    with pytest.raises(UsageError, match="name them with --features"):
        lesson_of(run, "rgb", DakdConfig(), {}, data=data)


# --------------------------------------------------------------------------------------------------- what is refused


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "run"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("place", ["alone", "beside", "key", "legacy", "pickle"])
def test_nothing_in_a_file_is_run(place, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.pkl"
    weights = network("ur-dmu").to_official()
    match place:
        case "alone":
            torch.save(Payload(marker), path)
        case "beside":
            torch.save({"state_dict": weights, "epoch": Payload(marker)}, path)
        case "key" | "legacy":
            torch.save(weights | {"extra": Payload(marker)}, path, _use_new_zipfile_serialization=place == "key")
        case "pickle":
            path.write_bytes(pickle.dumps(Payload(marker)))
    refused = (
        r"not a checkpoint of weights only" if place == "pickle" else r"refused, .* would call \S*(getattr|pathlib)"
    )
    assert re.search(refused + r"\S*; .*state_dict", told(path))
    assert not marker.exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("how", ["packed", "overlapping"])
def test_what_unpacks_to_much_more_than_the_file_is_not_unpacked(how, checkpoint, monkeypatch):
    if how == "packed":
        with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data/0", bytes(2**24))
    else:  # every name in the list of contents leads to the same part of the file
        with zipfile.ZipFile(checkpoint, "w") as archive:
            archive.writestr("archive/data/0", bytes(2**20))
            archive.filelist *= 16
    monkeypatch.setattr(torch, "load", None)
    size = checkpoint.stat().st_size
    assert f"refused, because {size:,} bytes unpack to 16,777,216; if you trust it, save its weights" in told(
        checkpoint
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: torch.zeros(1).expand(10**6, 10**6), "larger than what is stored of it"),
        (lambda one: one.to_sparse(), "sparse, quantised or without numbers"),
        (lambda one: one.to("meta"), "sparse, quantised or without numbers"),
        (lambda one: one.to(torch.float8_e4m3fn), "of type torch.float8_e4m3fn"),
        (lambda one: one.to(torch.complex64), "of type torch.complex64"),
    ],
)
def test_tensors_that_are_no_weights_are_named(change, says, tmp_path):
    weights = network("ur-dmu").to_official()
    key = next(name for name, value in weights.items() if value.ndim > 1)
    torch.save(weights | {key: change(weights[key])}, tmp_path / "odd.pkl")
    assert f"'{key}' is {says}; save model.state_dict() of plain tensors" in told(tmp_path / "odd.pkl")


def test_a_name_of_any_length_is_cut(tmp_path):
    torch.save({"x" * 10**5: torch.zeros(1)}, tmp_path / "long.pkl")
    assert len(told(tmp_path / "long.pkl")) < 1000


def test_a_whole_pickled_network_is_refused_by_name(tmp_path):
    torch.save(network("ur-dmu"), tmp_path / "model.pkl")
    assert "would call wsvad.methods.ur_dmu.UrDmu" in told(tmp_path / "model.pkl")


@pytest.mark.parametrize("name", list(SMALL))
def test_a_wrong_key_or_shape_is_named(name, tmp_path):
    weights = network(name).to_official()
    key = sorted(weights)[0]
    for change, says in (
        ({"extra.weight": torch.zeros(1)}, r"missing: none; unexpected: extra\.weight$"),
        ({key: None}, rf"missing: {re.escape(key)}; unexpected: none$"),
        ({key: torch.zeros(3, 2)}, rf"{re.escape(key)} is \(3, 2\), expected \("),
        ({key: torch.full_like(weights[key], torch.nan)}, rf"'{re.escape(key)}' holds numbers that are not finite"),
    ):
        torch.save({k: v for k, v in (weights | change).items() if v is not None}, tmp_path / "changed.pkl")
        assert re.search(says, told(tmp_path / "changed.pkl", name))


def test_a_checkpoint_of_another_method_or_configuration_is_told(checkpoint, tmp_path):
    assert "not a checkpoint of Rtfm in this configuration; missing: Aggregate.conv_1.0.bias" in told(
        checkpoint, "rtfm"
    )
    with pytest.raises(WsvadError, match=r"Amemory\.memory_block is \(5, 16\), expected \(60, 16\)"):
        import_checkpoint(checkpoint, "ur-dmu", replace(SMALL["ur-dmu"][1], abnormal_slots=60), tmp_path / "run")
    with pytest.raises(UsageError, match=r"mil has no public checkpoint format .*rtfm, ur-dmu"):
        import_checkpoint(checkpoint, "mil", MilConfig(), tmp_path / "run")


@pytest.mark.parametrize("name", ["weights.pkl", "weights.safetensors"])
def test_what_is_no_checkpoint_is_told(name, tmp_path):
    path = tmp_path / name
    assert "there is no such file" in told(path)
    for content in (b"", b"hello", bytes(range(256)) * 8):
        path.write_bytes(content)
        assert "not a checkpoint" in told(path)


def test_a_page_or_a_pointer_in_place_of_the_file_is_called_that(tmp_path):
    path = tmp_path / "weights.pkl"
    for text in ("<!DOCTYPE html>\n<html><head>", "\n <html lang='en'>", '<?xml version="1.0"?><!DOCTYPE html>'):
        path.write_text(text)
        assert "an HTML page, which the server gave in place of the file; open the address" in told(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert "a pointer of Git LFS, not the file itself; fetch it with 'git lfs pull'" in told(path)


def test_a_cut_file_is_told(checkpoint):
    whole = checkpoint.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 10):
        checkpoint.write_bytes(whole[:length])
        assert "not a checkpoint" in told(checkpoint)


@pytest.mark.parametrize(
    ("held", "says"),
    [([torch.zeros(1)], "holds a list without named weights"), ({}, "holds a dict without named weights"),
     (torch.zeros(2), "holds a Tensor without named weights"), ({"a": 1.5}, "'a' is a float, not a tensor"),
     ({"state_dict": {"a": [1]}}, "'a' is a list, not a tensor")],
)  # fmt: skip
def test_what_holds_no_weights_is_told(held, says, tmp_path):
    torch.save(held, tmp_path / "held.pkl")
    with pytest.raises(WsvadError, match=re.escape(says)):
        read_weights(tmp_path / "held.pkl")


def test_a_run_is_never_overwritten_by_another(checkpoint, tmp_path):
    out = tmp_path / "run"
    import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    torch.save(network("rtfm").to_official(), tmp_path / "other.pkl")
    with pytest.raises(WsvadError, match="holds another run"):
        import_checkpoint(tmp_path / "other.pkl", "rtfm", SMALL["rtfm"][1], out)
    (out / "config.yaml").unlink()
    with pytest.raises(WsvadError, match="holds another run"):
        import_checkpoint(checkpoint, "ur-dmu", SMALL["ur-dmu"][1], out)
