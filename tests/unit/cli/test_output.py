"""Nothing that is printed is markup or reaches the terminal as a control character."""

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys

import pytest

from wsvad.cli import output
from wsvad.cli.output import fail, plain, say, show, show_json, show_lines, show_text, table, talking
from wsvad.progress import report_progress

HOSTILE = "gate[north].mp4 [bold]x[/bold] [/] \x1b[2J\x07 \u202etxt.exe a\nb \udcff"
SHOWN = "gate[north].mp4 [bold]x[/bold] [/] \\x1b[2J\\x07 \\u202etxt.exe a\\nb \\udcff"


def test_control_characters_are_shown_and_brackets_stay():
    assert plain(HOSTILE) == SHOWN
    assert plain("pip install 'wsvad[litert]' äöü – 猫") == "pip install 'wsvad[litert]' äöü – 猫"


def test_every_way_of_printing_is_plain(capsys):
    say(HOSTILE)
    show(table(("a[b]", "n"), [(HOSTILE, 1), None, ("x", 2)], numbers=1, title="[red]t"))
    show(HOSTILE)
    show_text(f"one\n{HOSTILE}")
    with talking():
        logging.getLogger("wsvad.somewhere").info("note: %s", HOSTILE[:-1])  # xdist cannot send a lone surrogate
        report_progress(HOSTILE, 1, 2, HOSTILE)
    out, err = capsys.readouterr()
    assert not any(sign in out + err for sign in ("\x1b", "\x07", "\u202e", "\udcff"))
    assert err.splitlines() == [SHOWN, f"note: {SHOWN[:-6]}"]
    assert "a[b]" in out and "[red]t" in out
    assert SHOWN in out.splitlines()


NAME, SPREAD = "a yard/camera number 12 of the north gate.mp4", "91.23 ± 0.45"
WIDE = table(
    ("video", "what it is", *(f"AUC {n}" for n in range(6))),
    [(NAME, "somebody climbs", *[SPREAD] * 6), None, ("b.mp4", "", *"123456")],
    numbers=6,
    title="camera, %",
)
NUMBERS = table(("metric of it", "last", "best on test"), [("Frame AUC", SPREAD, SPREAD)], numbers=2, title="t")
STYLES = re.compile(r"\x1b\[[\d;]*m")


def test_in_a_pipe_a_row_is_a_line_however_long(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    show(WIDE)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if NAME in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [NAME, "somebody climbs", *[SPREAD] * 6]


@pytest.mark.parametrize("columns", [20, 42, 43, 80, 400])
def test_a_terminal_cuts_neither_names_nor_numbers(columns, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    for shown in (WIDE, NUMBERS):
        show(shown)
        out = STYLES.sub("", capsys.readouterr().out)
        assert "…" not in out
        if "│" not in out:
            cells = [pair for row in shown.rows if row for pair in zip(shown.head, row, strict=True)]
            blocks = [line for line in out.splitlines() if ":" in line]
            assert blocks == [f"{name}: {cell}" for name, cell in cells] and out.startswith(shown.title)
        else:
            assert all(len(line) <= columns for line in out.splitlines())
            assert out.count(f" {SPREAD} ") == sum(row.count(SPREAD) for row in shown.rows if row)
    drawn = "│" in out
    assert drawn == (columns >= 43)  # 9 + 12 + 12 characters, and 3 a column and 1 for the lines between


def test_json_stays_json(capsys):
    show_json({HOSTILE.replace("\udcff", ""): [float("nan"), "\x9b"]})
    out = capsys.readouterr().out
    assert json.loads(out) == {HOSTILE.replace("\udcff", ""): [None, "\x9b"]}
    assert "\x9b" not in out and "\u202e" not in out


def test_nothing_is_printed_after_the_verb(capsys):
    with talking():
        pass
    logging.getLogger("wsvad").info("later")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("debug", [False, True])
def test_debug_says_more(capsys, debug):
    with talking(debug=debug):
        logging.getLogger("wsvad").debug("detail")
    assert capsys.readouterr().err == ("detail\n" if debug else "")


@pytest.mark.parametrize("terminal", [False, True])
def test_messages_that_cannot_be_delivered_end_no_work(terminal, monkeypatch, capsys):
    """A log on a disk that is full, a terminal that is gone."""
    tried = []

    class Gone(io.StringIO):
        def write(self, text=""):
            tried.append(text)
            raise OSError(errno.EIO, "Input/output error")

        flush = write

        def isatty(self):
            return terminal

    monkeypatch.setattr(output, "LINE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Gone())
        with talking():
            for done in range(3):
                report_progress("encode", done, 3)
                logging.getLogger("wsvad.x").info("video %d", done)
    assert any("video 2" in text for text in tried if isinstance(text, str))
    show("a result")
    assert capsys.readouterr().out == "a result\n"
    say("all is well again")
    assert capsys.readouterr().err == "all is well again\n"


def test_a_name_forges_no_line(capsys):
    show_lines(["rgb:", "  wrong  a.mp4\nwsvad: nothing is wrong\x85x\u2028y\u061c"])
    shown = "  wrong  a.mp4\\nwsvad: nothing is wrong\\x85x\\u2028y\\u061c"
    assert capsys.readouterr().out.splitlines() == ["rgb:", shown]


def test_a_long_message_keeps_the_file_and_the_remedy(capsys):
    text = f"labels.csv line 2: label '{'x' * 10_000_000}'; use 0, 1, normal or abnormal"
    fail(text)
    say(text)
    for line in capsys.readouterr().err.splitlines():
        assert "labels.csv line 2: label 'xxx" in line and line.endswith("xxx'; use 0, 1, normal or abnormal")
        assert " … " in line and len(line) <= 2010


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("call", "text", "shown"),
    [
        ("show_text", "⌊F/16⌋ é", "\\u230aF/16\\u230b \\xe9"),
        ("show", "⌊F/16⌋ é", "\\u230aF/16\\u230b \\xe9"),
        ("show_json", "é\x9b", '"\\u00e9\\u009b"'),
        ("say", "⌊F/16⌋", "\\u230aF/16\\u230b"),
    ],
)
def test_a_terminal_without_utf8_shows_what_it_can(call, text, shown):
    """A process of its own, since the locale is read when Python starts."""
    code = f"from wsvad.cli import output; output.prepare_stdout(); output.{call}({text!a})"
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | ASCII, capture_output=True, text=True, check=True
    )
    assert (found.stdout + found.stderr).strip() == shown
