"""Names that begin with a dash: they are told about `--`, behind which everything is a name."""

from pathlib import Path

import pytest

from wsvad.cli.main import main
from wsvad.cli.parser import arguments_of
from wsvad.cli.verbs import VERBS


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["score", "-cam.mp4", "--model", "run"], "no option '-cam.mp4'; a name that begins with a dash goes"),
        (["score", "--cam-1.mp4", "--model", "run"], "behind '--', or is written ./--cam-1.mp4"),
        (["score", "-there", "--model", "run"], "no option '-there'; a name that begins with a dash goes behind '--'"),
        (["score", "--model", "-run", "a.mp4"], "--model: a value is missing (RUN); one that begins with a dash is "
         "joined: --model=-run"),
        (["score", "-x", "--model", "run"], "no option '-x'; see"),
        (["score", "--", "-x.mp4", "--model", "run"], "--model RUN is missing before '--': all that "
         "follows it are names; put options first"),
        (["score", "a.mp4", "--model", "run", "--overlya"], "no option '--overlya'; did you mean '--overlay'?"),
    ],
)  # fmt: skip
def test_a_name_that_begins_with_a_dash_is_told_about_it(words, says, tmp_path, monkeypatch, capsys):
    (tmp_path / "-there").touch()
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["-h", "--help", "--debug", "--cam-1.mp4", "--config.lr", "-1e-5", "--overlay", "--"])
def test_behind_two_dashes_everything_is_a_name(name):
    values = arguments_of(VERBS["score"], ["--model", "run", "--overlay", "--", "first.mp4", name])
    assert values["videos"] == [Path("first.mp4"), Path(name)]
    assert values["model"] == Path("run") and values["overlay"]


@pytest.mark.parametrize("name", ["-h", "--debug", "--config.lr", "--some_folder"])
def test_behind_two_dashes_nothing_is_a_question_or_a_setting(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--", name]) == 1
    assert capsys.readouterr().err.startswith(f"wsvad: {name}: there is no such folder")
