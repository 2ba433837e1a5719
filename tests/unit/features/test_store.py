"""Feature files: what goes in comes out, and what is broken or foreign is one line."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, load, read_passport, save, stored_shape

PASSPORT = Passport(
    encoder="motion", width=3, settings={"size": (16, 12), "mean": [0.5]}, frames=32, frame_rate="30000/1001"
)


def stored(shape=(3, 3), dtype=np.float32, **changes) -> StoredFeatures:
    features = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return StoredFeatures(features=features, passport=replace(PASSPORT, **changes), times=edges(shape))


def resampled(borders: list[int], **changes) -> StoredFeatures:
    return replace(stored(rate="10", **changes), borders=np.array(borders))


def edges(shape: tuple[int, ...]) -> np.ndarray:
    """As many times as the snippets of features have borders."""
    return np.linspace(0, 1.1, (shape[-2] if len(shape) > 1 else 3) + 1)


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (10, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_is_saved_is_loaded(tmp_path, shape, dtype):
    path = feature_path(tmp_path, "rgb", "yard/a.mp4")
    assert path == tmp_path / "rgb" / "yard" / "a.mp4.safetensors"
    save(path, stored(shape, dtype))
    back = load(path)
    assert back.features.dtype == dtype
    assert np.array_equal(back.features, stored(shape, dtype).features)
    assert np.array_equal(back.times, edges(shape))
    assert back.passport.difference(PASSPORT) is None
    assert (back.passport.frames, back.passport.frame_rate) == (32, "30000/1001")


def test_a_resampled_video_keeps_its_own_frames(tmp_path):
    save(tmp_path / "f", replace(resampled([0, 90, 90, 1000]), passport=replace(PASSPORT, rate="1/100", frames=1000)))
    assert load(tmp_path / "f").passport.rate == "1/100"
    save(tmp_path / "f", resampled([0, 90, 90, 1000], frames=1000))
    back = load(tmp_path / "f")
    assert back.passport.rate == "10" and back.clock.edges.tolist() == back.borders.tolist() == [0, 90, 90, 1000]
    assert back.clock.lengths.tolist() == [90, 0, 910]
    assert back.clock.seconds().tolist() == edges((3, 3)).tolist()


def test_a_passport_without_a_rate_is_as_it_was_before_there_was_one(tmp_path):
    save(tmp_path / "f", stored())
    with safe_open(tmp_path / "f", framework="numpy") as file:
        assert "rate" not in json.loads(file.metadata()["passport"])
    assert load(tmp_path / "f").passport.rate is None
    assert "rate" not in PASSPORT.identity() and replace(PASSPORT, rate="10").identity()["rate"] == "10"


@pytest.mark.parametrize("borders", [None, [0, 8, 24], [0, 24, 8, 32], [1, 8, 24, 32], [0.0, 8.0, 24.0, 32.0]])
def test_borders_that_are_none_are_refused(tmp_path, borders):
    passport = json.dumps(replace(PASSPORT, rate="10").record())
    more = {} if borders is None else {"borders": np.array(borders)}
    save_file({"features": np.zeros((3, 3), np.float32)} | more, tmp_path / "f", metadata={"passport": passport})
    with pytest.raises(WsvadError, match=r"^\S+/f: its borders are not those of its video's frames; delete it"):
        load(tmp_path / "f")


@pytest.mark.parametrize("rate", ["0", "1001", "1/1000", "-5", "x", 25, 25.5, "9999999999"])
def test_a_rate_that_nothing_is_resampled_to_is_no_passport(tmp_path, rate):
    described(tmp_path / "f", rate=rate)
    with pytest.raises(WsvadError, match=r"no valid passport \(.*rate"):
        read_passport(tmp_path / "f")


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
        ({"settings": {"size": (16, 16), "mean": [0.5]}}, "settings.size: [16, 12] against [16, 16]"),
        ({"settings": {"size": (16, 12)}}, "settings.mean: [0.5] against None"),
        ({"settings": {"size": (16, 12), "mean": [0.5], "x": {}}}, "settings.x: None against {}"),
        ({"weights": "abc\n"}, r"weights: None against 'abc\n'"),
        ({"weights": "a" * 300}, f"weights: None against {'a' * 200}…"),
        ({"window": None}, "window"),
        ({"tail": "drop"}, "tail"),
        ({"decoder": "PyAV 1"}, "decoder"),
        ({"rate": "10"}, "frames per second: the video's own against 10"),
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
        (lambda: replace(stored(), features=np.array([[0, 1, np.nan]] * 2)), "NaN or infinity"),
        (lambda: replace(stored(), features=np.array([[0, 1, np.inf]] * 2)), "NaN or infinity"),
        (lambda: stored(frames=65), "3 snippets of 16 frames, their passport says that the video has 65"),
        (lambda: replace(stored(), times=np.array([0, 1, 2.0])), "not 4 seconds in order"),
        (lambda: replace(stored(), times=np.array([0, 2, 1, 3.0])), "not 4 seconds in order"),
        (lambda: stored(rate="10"), "a resampled video has borders"),
        (lambda: replace(stored(), borders=np.array([0, 8, 24, 32])), "a resampled video has borders"),
        (lambda: resampled([0, 24, 8, 32]), "borders are not those of its frames"),
        (lambda: resampled([0, 8, 24, 33]), "borders are not those of its frames"),
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


RATES = ["1/0", "0", "0/7", "-25", "25.0", "1e999999999", "9" * 5000, "", "25/", "x", 25]
"""What is no frame rate, some of it to Python's `Fraction`, which would never end with one of them."""


def foreign(path: Path, metadata: dict[str, str] | None, **tensors: np.ndarray) -> None:
    save_file({"features": np.zeros((1, 3), np.float32)} | tensors, path, metadata=metadata)


def described(path: Path, **changes: object) -> None:
    foreign(path, {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 16} | changes)})


def deep(levels: int) -> object:
    return {"a": deep(levels - 1)} if levels else 1


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
        (lambda path: foreign(path, {"passport": "[" * 100_000}), "no valid passport"),
        (lambda path: foreign(path, {"passport": '{"width": ' + "9" * 5000}), "no valid passport"),
        (lambda path: described(path, frames="x"), "frames is 'x' instead of a whole number"),
        (lambda path: described(path, frames=0), "frames is 0 instead of from 1 to 134217728"),
        (lambda path: described(path, frames=True), "frames is True"),
        (lambda path: described(path, width=-3), "width is -3 instead of at least 1"),
        (lambda path: described(path, stride=0), "stride is 0"),
        (lambda path: described(path, window=0.5), "window is 0.5"),
        (lambda path: described(path, weights=[]), "weights is "),
        (lambda path: described(path, damaged=None), "damaged is None"),
        (lambda path: described(path, source=1), "source is 1 instead of text"),
        (lambda path: described(path, more=1), "'more' is not known"),
        (lambda path: described(path, encoder="\ud800"), "surrogates not allowed"),
        (lambda path: described(path, settings=[]), "settings is "),
        (lambda path: described(path, settings={"a": float("nan")}), "NaN is no number"),
        (lambda path: described(path, settings=deep(33)), "settings is .* instead of at most 32 levels"),
        *((lambda path, rate=rate: described(path, frame_rate=rate), "frame_rate is") for rate in RATES),
        (lambda path: path.write_bytes((2**40).to_bytes(8, "little") + b"{}"), "broken feature file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: save_file({"other": np.zeros(3)}, path), "there are no features in it"),
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


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (torch.zeros(1, 3, dtype=torch.bfloat16), "numbers of type BF16, expected float16 or float32"),
        (torch.zeros(1, 3, dtype=torch.float8_e4m3fn), "numbers of type F8_E4M3"),
        (torch.zeros(1, 3, dtype=torch.complex64), "numbers of type C64"),
        (torch.zeros(1, 3, dtype=torch.int16), "numbers of type I16"),
        (torch.zeros(0, 3), "none of them 0"),
        (torch.zeros(3), r"expected \(T, D\)"),
        (torch.tensor(0.0), r"expected \(T, D\)"),
        (torch.zeros(1, 1, 1, 3), r"expected \(T, D\)"),
        (torch.zeros(1, 4), "4 wide, their passport says 3"),
    ],
)
@pytest.mark.parametrize("read", [load, stored_shape])
def test_features_that_no_method_can_use_are_refused(tmp_path, features, says, read):
    passport = {"encoder": "x", "width": 3, "frames": 16}
    save_tensors({"features": features}, tmp_path / "f", metadata={"passport": json.dumps(passport)})
    with pytest.raises(WsvadError, match=says):
        read(tmp_path / "f")


@pytest.mark.parametrize("frames", [1, 32])  # a tail that was dropped leaves a snippet and up to 15 frames, or 16
def test_a_snippet_more_or_less_than_the_frames_give_is_another_convention(tmp_path, frames):
    described(tmp_path / "f", frames=frames)
    assert load(tmp_path / "f").passport.frames == frames


def test_frames_that_the_snippets_do_not_reach_are_refused(tmp_path):
    described(tmp_path / "f", frames=33)
    with pytest.raises(WsvadError, match="1 snippets of 16 frames, their passport says that the video has 33"):
        load(tmp_path / "f")


@pytest.mark.parametrize(
    "times",
    [[0.0], [0.0, 1, 2], [[0.0, 1]], [1.0, 0], [0, np.nan], [0, np.inf], [0, 1e308], [-1e11, 0], np.array([0, 1])],
)
def test_times_that_are_none_are_refused(tmp_path, times):
    passport = {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 16})}
    foreign(tmp_path / "f", passport, times=np.asarray(times))
    with pytest.raises(WsvadError, match="its times are not 2 seconds in order"):
        load(tmp_path / "f")


def test_double_precision_is_read_as_single_and_what_does_not_fit_is_refused(tmp_path):
    passport = {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 16})}
    foreign(tmp_path / "f", passport, features=np.array([[1.5, -2, 3e38]]))
    assert load(tmp_path / "f").features.dtype == np.float32
    assert load(tmp_path / "f").features.tolist() == [[1.5, -2, float(np.float32(3e38))]]
    foreign(tmp_path / "f", passport, features=np.array([[0, 0, 1e300]]))
    with pytest.raises(WsvadError, match="NaN or infinity in snippet 0"):
        load(tmp_path / "f")


@pytest.mark.parametrize("shape", [(5, 3), (2, 5, 3)])
def test_nan_in_a_file_is_named_by_its_snippet(tmp_path, shape):
    features = np.zeros(shape, np.float32)
    features[..., 3, 1] = np.nan
    metadata = {"passport": json.dumps({"encoder": "x", "width": 3, "frames": 80})}
    save_file({"features": features}, tmp_path / "f", metadata=metadata)
    with pytest.raises(WsvadError, match="NaN or infinity in snippet 3"):
        load(tmp_path / "f")
