"""Whole files or none, and every refusal of the system in one line."""

import os

import pytest
from safetensors import SafetensorError

from wsvad.errors import WsvadError
from wsvad.files import (
    atomic,
    check_file,
    check_writable,
    instead,
    overlong,
    read_json,
    read_yaml,
    whole_folder,
    write_json,
)


@pytest.mark.parametrize("make", [check_writable, lambda path: atomic(path / "scores.json").__enter__()])
def test_a_file_where_a_folder_should_be_is_named(make, tmp_path):
    (tmp_path / "cam0.mp4").write_bytes(b"video")
    with pytest.raises(WsvadError, match=r"cam0\.mp4"):
        make(tmp_path / "cam0.mp4" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["cam0.mp4"]


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", "\udcff".encode("utf-8", "surrogatepass")])
def test_a_file_that_is_not_json_is_named(text, tmp_path):
    (tmp_path / "x.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WsvadError, match=r"x\.json: not valid JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(WsvadError, match=r"; make it again$"):
        read_json(tmp_path / "x.json", remedy="make it again")


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


MISUSED = ("!!bool x", "!!int ''", "!!float _", "!!timestamp x", "lr: " + "1:" * 180 + "1.0")
"""Tags on what they are not for, and a number in base 60, of which the reader makes errors of its own."""


@pytest.mark.parametrize(
    "text",
    [*MISUSED, "a: 1" + ":1" * 500, BOMB, "a: &a [*a]", "a: " + "[" * 5000, "a: !!python/object/apply:os.getcwd []"],
)
def test_hostile_yaml_is_refused(text, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(WsvadError, match=r"config\.yaml: not valid YAML .*; train again"):
        read_yaml(tmp_path / "config.yaml", "train again")


def test_a_full_disk_is_said_by_whoever_finds_it(tmp_path):
    with pytest.raises(WsvadError, match="the disk is full"), atomic(tmp_path / "x.safetensors"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x.safetensors"):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["n" * 251 + ".csv", "ä" * 125 + ".csv", "n" + "ä" * 125 + ".csv", "猫" * 83 + ".csv", "x.y"]
)
def test_every_name_that_a_file_may_have_can_be_written(name, tmp_path):
    """The temporary one beside it is no longer than may be, and ends as it does."""
    assert overlong(tmp_path / name) == ""
    with atomic(tmp_path / name) as temporary:
        assert temporary.suffix == (tmp_path / name).suffix and len(temporary.name.encode()) <= 255
        temporary.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"


def test_a_name_that_no_file_may_have_is_told(tmp_path):
    assert overlong(tmp_path / ("ä" * 126 + ".csv")) == "a file name of 256 bytes (at most 255)"
    assert "a path of" in overlong(tmp_path.joinpath(*["n" * 250] * 17))
    with pytest.raises(WsvadError, match="the name is too long for a file; choose a shorter one"):
        write_json(tmp_path / ("n" * 256), {})


@pytest.mark.parametrize(("size", "most", "told"), [(3 * 2**20, 2**20, "3 MB.* 1 MB"), (2**16, 2**14, "64 kB.* 16 kB")])
def test_a_file_that_is_too_large_is_told_in_a_unit_that_shows_it(size, most, told, tmp_path):
    (tmp_path / "x").write_bytes(bytes(size))
    with pytest.raises(WsvadError, match=told):
        check_file(tmp_path / "x", most)


def test_bytes_that_are_no_text_stay_what_they_are(tmp_path):
    write_json(tmp_path / "a.json", {"folder": "/data/a\udcff\\udcff"})
    assert read_json(tmp_path / "a.json") == {"folder": "/data/a\udcff\\udcff"}


def test_a_folder_may_have_as_long_a_name_as_any(tmp_path):
    place = tmp_path / ("ü" * 127 + "x")
    with whole_folder(place) as temporary:
        (temporary / "a").write_text("1")
    assert (place / "a").read_text() == "1" and list(tmp_path.iterdir()) == [place]


def test_what_was_downloaded_instead_is_looked_for_in_plain_files_alone(tmp_path):
    os.mkfifo(tmp_path / "list.csv")  # which would be waited for
    assert instead(tmp_path / "list.csv") is None
    (tmp_path / "page.csv").write_text("<!doctype html><html>")
    assert "an HTML page" in (instead(tmp_path / "page.csv") or "")
