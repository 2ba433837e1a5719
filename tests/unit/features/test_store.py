"""Feature files: what goes in comes out, and what is broken or foreign is one line."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, read_passport, save

PASSPORT = Passport(
    encoder="motion", width=3, settings={"size": (16, 12), "mean": [0.5]}, frames=33, frame_rate="30000/1001"
)


def stored(shape=(3, 3), dtype=np.float32, **changes) -> StoredFeatures:
    features = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return StoredFeatures(features=features, passport=replace(PASSPORT, **changes), times=np.linspace(0, 1.1, 4))


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (10, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_is_saved_is_loaded(tmp_path, shape, dtype):
    path = feature_path(tmp_path, "rgb", "yard/a.mp4")
    assert path == tmp_path / "rgb" / "yard" / "a.mp4.safetensors"
    save(path, stored(shape, dtype))
    back = load(path)
    assert back.features.dtype == dtype
    assert np.array_equal(back.features, stored(shape, dtype).features)
    assert np.array_equal(back.times, np.linspace(0, 1.1, 4))
    assert back.passport.difference(PASSPORT) is None
    assert (back.passport.frames, back.passport.frame_rate) == (33, "30000/1001")


def test_a_file_that_macos_named_is_still_found(tmp_path):
    name, apart = "caf\u00e9.mp4", "cafe\u0301.mp4.safetensors"
    assert feature_path(tmp_path, "rgb", name) == tmp_path / "rgb" / f"{name}.safetensors"
    save(tmp_path / "rgb" / apart, stored())
    assert feature_path(tmp_path, "rgb", name) == tmp_path / "rgb" / apart
    save(tmp_path / "rgb" / f"{name}.safetensors", stored())
    assert feature_path(tmp_path, "rgb", name) == tmp_path / "rgb" / f"{name}.safetensors"


def test_features_that_are_a_view_are_saved_as_they_look(tmp_path):
    whole = np.arange(24, dtype=np.float32).reshape(3, 8)
    save(tmp_path / "f", StoredFeatures(features=whole[:, 1:7:2], passport=PASSPORT))
    back = load(tmp_path / "f")
    assert np.array_equal(back.features, whole[:, 1:7:2])
    assert back.times is None


def test_the_same_features_are_the_same_bytes(tmp_path):
    save(tmp_path / "a", stored())
    save(tmp_path / "b", stored())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"encoder": "other"}, "encoder: motion against other"),
        ({"width": 4}, "width: 3 against 4"),
        ({"weights": "abc"}, "weights: None against abc"),
        ({"settings": {"size": (16, 16), "mean": [0.5]}}, "settings"),
        ({"window": None}, "window"),
        ({"tail": "drop"}, "tail"),
        ({"decoder": "PyAV 1"}, "decoder"),
        ({"settings": {"size": [16, 12], "mean": (0.5,)}}, None),  # a tuple that was written is a list
        ({"frames": 1, "frame_rate": None, "source": "x", "damaged": 2, "stride": 8}, None),
    ],
)
def test_passports_differ_in_what_changes_the_numbers(change, differs):
    found = PASSPORT.difference(replace(PASSPORT, **change))
    assert found is None if differs is None else found.startswith(differs)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: stored((0, 3)), "none of them 0"),
        (lambda: stored((3,)), r"expected \(T, D\)"),
        (lambda: stored((3, 4)), "4 wide, their passport says 3"),
        (lambda: replace(stored(), features=np.array([[0, 1, np.nan]])), "NaN or infinity"),
        (lambda: replace(stored(), features=np.array([[0, 1, np.inf]])), "NaN or infinity"),
    ],
)
def test_what_must_not_be_written_leaves_the_old_file(tmp_path, bad, says):
    save(tmp_path / "f", stored())
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(WsvadError, match=says):
        save(tmp_path / "f", bad())
    assert (tmp_path / "f").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "no permission"), (errno.EIO, "[Ii]nput")]
)
def test_a_disk_that_refuses_leaves_the_old_file(tmp_path, monkeypatch, number, says):
    save(tmp_path / "f", stored())
    before = (tmp_path / "f").read_bytes()
    write_bytes = Path.write_bytes

    def refuse(self, content):
        write_bytes(self, content[: len(content) // 2])
        raise OSError(number, "Input/output error")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(WsvadError, match=says):
        save(tmp_path / "f", stored((2, 3)))
    assert (tmp_path / "f").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def foreign(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"features": np.zeros((1, 3), np.float32)}, path, metadata=metadata)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "there is no such feature file"),
        (lambda path: path.write_bytes(b""), "broken feature file"),
        (lambda path: path.write_text("not safetensors at all"), "broken feature file"),
        (lambda path: foreign(path, None), "no valid passport"),
        (lambda path: foreign(path, {"passport": "{"}), "no valid passport"),
        (lambda path: foreign(path, {"passport": "[1]"}), "no valid passport"),
        (lambda path: foreign(path, {"passport": json.dumps({"encoder": "x"})}), "no valid passport"),
    ],
)
@pytest.mark.parametrize("read", [load, read_passport])
def test_what_is_no_feature_file_is_one_line_that_names_it(tmp_path, make, says, read):
    make(tmp_path / "f.safetensors")
    with pytest.raises(WsvadError, match=says) as caught:
        read(tmp_path / "f.safetensors")
    assert str(caught.value).startswith(f"{tmp_path / 'f.safetensors'}: ")
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_broken(tmp_path):
    save(tmp_path / "f", stored())
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes()[:-5])
    with pytest.raises(WsvadError, match="broken feature file"):
        load(tmp_path / "f")


def test_a_file_without_features_is_broken(tmp_path):
    metadata = {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 1})}
    save_file({"other": np.zeros(3)}, tmp_path / "f", metadata=metadata)
    with pytest.raises(WsvadError, match="no features"):
        load(tmp_path / "f")


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_nan_in_a_file_is_named_by_its_snippet(tmp_path, shape):
    features = np.zeros(shape, np.float32)
    features[..., 3, 1] = np.nan
    metadata = {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 80})}
    save_file({"features": features}, tmp_path / "f", metadata=metadata)
    with pytest.raises(WsvadError, match="NaN or infinity in snippet 3"):
        load(tmp_path / "f")
