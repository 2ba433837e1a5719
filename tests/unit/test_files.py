"""Whole files or none, and every refusal of the system in one line."""

import pytest

from wsvad.errors import WsvadError
from wsvad.files import atomic, make_folder, read_json


@pytest.mark.parametrize("make", [make_folder, lambda path: atomic(path / "scores.json").__enter__()])
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
