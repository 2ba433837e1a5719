"""Tables in CSV: what was written is read back, no cell is a formula, and what is no table is refused."""

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.errors import WsvadError
from wsvad.tables import MOST_BYTES, columns, markdown, read_table, table_text, whole, write_table

FORMULAS = ["=1+1.mp4", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "''-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_begins_as_a_formula_gets_an_apostrophe(text):
    (cell,) = next(csv.reader([table_text(["video"], [(text,)]).partition("\n")[2]]))
    assert cell == f"'{text}"


@pytest.mark.parametrize("text", ["a=1.mp4", "'tis.mp4", "–", "1-2", ""])
def test_other_text_stays(text):
    assert table_text(["a", "b"], [(text, 1)]) == f"a,b\n{text},1\n"


def test_numbers_are_written_as_they_are():
    assert table_text(["a", "b"], [(-0.25, -3)]) == "a,b\n-0.25,-3\n"


def is_row(cells):
    """Not empty, and not a comment alone."""
    return any(cells) and (cells[1] or not cells[0].startswith("#"))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    [*FORMULAS, "#1.mp4", "sep=;", "#", '"']
)


@given(rows=st.lists(st.tuples(cells.map(str.strip), cells.map(str.strip)).filter(is_row), max_size=4))
def test_what_was_written_is_read_back(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write_table(path, ("video", "category"), rows)
    assert [tuple(row.values()) for _, row in read_table(path, ("video",))] == rows


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no column 'video'; the first line must name video, label"),
        (b"video\na", "no column 'label'"),
        (b"video,label,Label\na,1,1", "two columns are called 'label'"),
        (b"video,label\na,1\nb", "t.csv line 3: 1 columns, expected 2: 'b'; complete the row"),
        (
            b"video,label\na,1\nb\0,1",
            "not a table in UTF-8, UTF-16 or Windows-1252 (a NUL byte, line 3); save the table",
        ),
        (
            b"video,label\n" + b"a" * 200_000,
            "not a table in UTF-8, UTF-16 or Windows-1252 (field larger than field limit",
        ),
        (
            b"video,label\n\x81,1",
            "not a table in UTF-8, UTF-16 or Windows-1252 ('charmap' codec can't decode byte 0x81",
        ),
        (b"video,label\n" + bytes(MOST_BYTES), "t.csv: 64 MB, where such a file has at most 64 MB"),
    ],
)
def test_what_is_no_table_is_one_line(content, says, tmp_path):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(WsvadError) as error:
        list(read_table(tmp_path / "t.csv", ("video", "label")))
    assert says in str(error.value) and str(error.value).startswith(f"{tmp_path / 't.csv'}")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for path in tmp_path.iterdir():
        with pytest.raises(WsvadError, match="not a file that can be read as a whole; name a plain file"):
            columns(path)


@pytest.mark.parametrize("text", ["", "1.5", "1_000", "²", "٣", "1e3", "9" * 13, "9" * 5000, "0x1"])
def test_a_whole_number_has_digits_alone_and_not_too_many(text):
    with pytest.raises(ValueError, match="not a whole number of at most 12 digits"):
        whole(text)


def test_a_whole_number_may_have_a_sign():
    assert [whole(text) for text in ("-5", "+5", "007", "9" * 12)] == [-5, 5, 7, 999_999_999_999]


def test_a_cell_of_markdown_stays_a_cell():
    made = markdown([["", "AUC"], ["a|b\n| c | 99 |", 1]])
    assert made == "|  | AUC |\n| --- | --- |\n| a\\|b\\n\\| c \\| 99 \\| | 1 |\n"
