"""A run folder whose data has changed: what is removed, even if that is stopped, and what is left."""

import os

import pytest

from wsvad.errors import WsvadError
from wsvad.files import write_json
from wsvad.runs.folder import RunFolder
from wsvad.runs.seed import SeedFolder


class Killed(BaseException):
    pass


@pytest.fixture
def seed(tmp_path) -> SeedFolder:
    folder = SeedFolder(tmp_path / "seed-0")
    for name in ("held_out", "selection", "fit", "result"):
        write_json(folder.path / f"{name}.json", {"videos": ["a.mp4"]})
    (folder.path / "points").mkdir()
    (folder.path / "points" / "000001.safetensors").write_bytes(b"scores")
    return folder


@pytest.mark.parametrize("removals", range(6))
def test_the_held_out_choice_survives_whenever_forgetting_is_killed(seed, removals, monkeypatch):
    left, unlink, rmdir = [removals], os.unlink, os.rmdir

    def counted(real):
        def removing(*arguments, **options):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return removing

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", counted(unlink))
        patch.setattr(os, "rmdir", counted(rmdir))
        try:
            seed.forget_everything()
        except Killed:
            assert removals < 5  # three files, the point and its folder
    assert seed.read("held_out") == {"videos": ["a.mp4"]}
    seed.forget_everything()
    assert [path.name for path in seed.path.iterdir()] == ["held_out.json"]


@pytest.mark.parametrize("forget", [SeedFolder.forget_everything, SeedFolder.forget_fit])
def test_what_cannot_be_removed_stops_the_run_instead_of_staying_as_if_it_were_true(seed, forget, monkeypatch):
    def refused(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "rmdir", refused)
    with pytest.raises(WsvadError, match="no permission"):
        forget(seed)


def test_nothing_is_removed_or_written_through_a_link(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "points").mkdir(parents=True)
    (elsewhere / "thesis.txt").write_text("mine")
    run, fingerprint = RunFolder(tmp_path / "run"), {"training": {}, "test": {}, "features": {"rgb": {"decoder": None}}}
    run.claim({"seeds": 1}, fingerprint)
    (run.path / "seed-0").symlink_to(elsewhere)
    changed = fingerprint | {"training": {"a.mp4": {"label": 0, "category": "", "content": {}}}}
    for use in (lambda: run.claim({"seeds": 1}, changed), lambda: run.seed(0)):
        with pytest.raises(WsvadError, match="seed-0: a link, which may lead out of the run"):
            use()
    assert sorted(path.name for path in elsewhere.iterdir()) == ["points", "thesis.txt"]
    own = run.seed(1)
    own.path.mkdir()
    (own.path / "points").symlink_to(elsewhere / "points")
    with pytest.raises(WsvadError, match="points: a link"):
        own.write_point(1, {})
    own.forget_fit()  # of a link the link
    assert not (own.path / "points").exists() and (elsewhere / "points").is_dir()
