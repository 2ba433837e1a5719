"""Help fits on a screen and speaks plainly, for every verb that there is."""

import re
import shlex
import subprocess
import sys

import pytest
from places import ROOT

from wsvad.cli.main import main
from wsvad.cli.parser import arguments_of
from wsvad.cli.verbs import BY_AUDIENCE, VERBS

LINES = {"train": 45}
"""Lines of a page at 100 columns; 40 where nothing is said."""


def page(capsys, monkeypatch, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(words) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_on_one_screen(verb, capsys, monkeypatch):
    told = page(capsys, monkeypatch, verb, "--help")
    lines = told.splitlines()
    assert len(lines) <= LINES.get(verb, 40)
    assert max(map(len, lines)) <= 100
    assert f"example: {VERBS[verb].example}\n" in told
    assert VERBS[verb].example.startswith(f"wsvad {verb}")
    speaks_plainly(told)
    if VERBS[verb].learns or VERBS[verb].configures:
        assert f"'wsvad {verb} --help=all' shows everything" in lines[-1]


@pytest.mark.parametrize("verb", VERBS)
def test_the_whole_page_has_every_option_with_a_word_about_it(verb, capsys, monkeypatch):
    told = page(capsys, monkeypatch, verb, "--help=all")
    speaks_plainly(told)
    short = page(capsys, monkeypatch, verb, "-h")
    assert set(options(short)) <= set(options(told))
    if VERBS[verb].learns:
        assert {"--points", "--first-seed", "--precision"} <= set(options(told)) - set(options(short))
    if VERBS[verb].configures:
        assert "--config.weight-decay" in options(told) and "--config FILE.yaml" in told


def options(told: str) -> list[str]:
    return re.findall(r"^  (--[^ =]+)", told, re.MULTILINE)


def speaks_plainly(told: str) -> None:
    """No Python types, no underscore in an option's name, and no option without a word about it."""
    for word in ("<class", "| None", "Optional[", "null", "Literal[", "==SUPPRESS=="):
        assert word not in told
    assert not [name for name in options(told) if "_" in name]
    lines = told.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if re.match("  --", line):
            assert re.search(r"\S  +\S", line) or following.startswith(" " * 20), line


def test_types_are_words(capsys, monkeypatch):
    told = page(capsys, monkeypatch, "train", "--help=all", "--method", "pi-vad")
    for option in (
        "--labels FILE", "--features FOLDER", "--out RUN", "--workers N", "--max-false-alarms-per-hour NUMBER",
        "--seeds N", "--budget paper|data", "--normalise none|l2|standardise", "--config.encoder-relu yes|no",
        "--config.profile paper|light", "--config.ur-dmu.top-every N", "--config.modalities LIST",
    ):  # fmt: skip
        assert f"  {option}" in told
    assert "(default: 0.2)" in told and "(default: runs/detector)" in told and "(default: yes)" in told


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_is_right(verb):
    words = shlex.split(VERBS[verb].example)
    arguments = arguments_of(VERBS[verb], words[2:])
    assert not {name for name in VERBS[verb].positional.split() if not arguments[name]}


def test_the_programs_page_lists_all_verbs_by_audience_and_the_statuses(capsys, monkeypatch):
    told = page(capsys, monkeypatch, "--help")
    places = [told.index(f"\n{audience}:") for audience in BY_AUDIENCE]
    assert places == sorted(places)
    assert re.findall(r"^    ([a-z][a-z-]+) +\S", told, re.MULTILINE) == list(VERBS)
    assert [verb for group in BY_AUDIENCE.values() for verb in group] == list(VERBS)
    assert re.findall(r"^    (\d)  ", told, re.MULTILINE) == ["0", "1", "2", "3"]
    assert max(map(len, told.splitlines())) <= 105
    assert page(capsys, monkeypatch, "--version").startswith("wsvad ")


def commands_of(text: str) -> list[str]:
    """The command lines in a page's blocks of code."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.startswith("wsvad ")]


PAGES = [ROOT / "README.md", ROOT / "docs" / "first-day.md"]


@pytest.mark.parametrize("command", [one for page in PAGES for one in commands_of(page.read_text(encoding="utf-8"))])
def test_the_commands_of_the_pages_are_right(command):
    verb, *words = shlex.split(command.partition(" > ")[0], comments=True)[1:]
    assert arguments_of(VERBS[verb], words)


def test_the_readme_names_every_verb_but_the_lists_and_all_statuses():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [verb for verb in VERBS if not re.search(rf"\b{verb}\b", text)]
    assert "The exit status is 0 when all is done, 1 when" in text


def test_the_package_is_the_command():
    said = subprocess.run([sys.executable, "-m", "wsvad", "scor"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (2, "") and said.stderr.startswith("wsvad: ")
