"""Tables of labels as spreadsheets write them: each is read right, or refused by its reason; none silently wrong.

Those of LibreOffice lie in `tests/spreadsheets`, with the script that made them.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from places import ROOT

from wsvad.cli.main import main
from wsvad.datasets.folder import open_folder
from wsvad.errors import WsvadError
from wsvad.metrics.interval import Interval
from wsvad.video.writer import write_video

MADE = ROOT / "tests" / "spreadsheets"
EXPECTED = {
    "gate/cam1.mp4": (0, "normal", "train", 250),
    "gate/cam2.mp4": (1, "fight", "train", 300),
    "Tür hinten.mp4": (0, "normal", "test", None),
    "Größe, zwei.mp4": (1, "fight", "test", 1000),
    "yard.avi": (0, "normal", "train", None),
    "hof_nord.mkv": (1, "theft", "train", 75),
}
HEAD = ("video", "label", "category", "split", "frames")
ROWS = [(name, *row) for name, row in EXPECTED.items()]
QUOTED = {"Größe, zwei.mp4": '"Größe, zwei.mp4"'}


def made(name):
    return (MADE / name).read_bytes()


def text(head=HEAD, rows=ROWS, separator=";", ending="\r\n", encoding="utf-8-sig"):
    """A table as text; nothing in it needs quotes but what has the separator in it."""
    cells = [head, *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in cells]
    return "".join(separator.join(row) + ending for row in quoted).encode(encoding)


def changed(column, change, of=ROWS):
    """The rows with another cell in a column."""
    place = HEAD.index(column)
    return [(*row[:place], change(row), *row[place + 1 :]) for row in of]


def workbook(*sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def labelled(words):
    return changed("label", lambda row: words[row[1]])


def archive(**parts):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    return file.getvalue()


WIDE = [(*row, "", "") for row in ROWS]
CATEGORY = [(row[0], "Normal" if not row[1] else row[2].title(), row[3], row[4]) for row in ROWS]
COMMENTED = [["# labels of March"], [None, None], HEAD, [], *ROWS[:3], ["#", "to be checked:"], *ROWS[3:]]
READ = {
    # file → content, what is said of it
    "libreoffice-comma.csv": (made("comma-utf8.csv"), "6 rows, separator ',', UTF-8"),
    "libreoffice-semicolon.csv": (made("semicolon-windows.csv"), "6 rows, separator ';', Windows-1252"),
    "libreoffice-tab.csv": (made("tab-utf16.csv"), "6 rows, separator tab, UTF-16"),
    "libreoffice-german.csv": (made("german.csv"), "6 rows, separator ';', Windows-1252"),
    "libreoffice-quoted.csv": (made("all-quoted.csv"), "6 rows, separator ',', UTF-8"),
    "libreoffice-values.csv": (made("values.csv"), "6 rows, separator ';', UTF-8"),
    "libreoffice.xlsx": (made("workbook.xlsx"), "6 rows, sheet 'Labels'"),
    "libreoffice-renamed.csv": (made("workbook.xlsx"), "6 rows, sheet 'Labels'"),
    "openpyxl.xlsx": (workbook(("Tabelle1", [HEAD, *labelled([False, True])])), "6 rows, sheet 'Tabelle1'"),
    "openpyxl-floats.xlsx": (workbook(("a", [HEAD, *labelled([0.0, 1.0])])), "6 rows, sheet 'a'"),
    "openpyxl-second-sheet.xlsx": (
        workbook(("Notes", [["camera", "where"], ["gate", "south"]]), ("Labels", [HEAD, *ROWS])),
        "6 rows, sheet 'Labels'",
    ),
    "openpyxl-comments.xlsx": (workbook(("a", COMMENTED)), "6 rows, sheet 'a'"),
    "excel-utf8.csv": (text(), "6 rows, separator ';', UTF-8"),
    "excel-comma.csv": (text(separator=","), "6 rows, separator ',', UTF-8"),
    "excel-ansi.csv": (text(encoding="cp1252"), "6 rows, separator ';', Windows-1252"),
    "excel-unicode.txt.csv": (text(separator="\t", encoding="utf-16"), "6 rows, separator tab, UTF-16"),
    "utf16-be.csv": (b"\xfe\xff" + text(encoding="utf-16-be"), "6 rows, separator ';', UTF-16"),
    "utf16-without-mark.csv": (text(encoding="utf-16-le"), "6 rows, separator ';', UTF-16"),
    "tabs.tsv": (text(separator="\t", encoding="utf-8", ending="\n"), "6 rows, separator tab, UTF-8"),
    "old-mac-lines.csv": (text(ending="\r"), "6 rows, separator ';', UTF-8"),
    "sep-line.csv": (b"sep=;\r\n" + text(encoding="cp1252"), "6 rows, separator ';', Windows-1252"),
    "sep-bar.csv": (b"sep=|\r\n" + text(separator="|", encoding="utf-8"), "6 rows, separator '|', UTF-8"),
    "heads.csv": (text(head=(" Video", "LABEL ", " Category ", "Split", "Frames")), "6 rows, separator ';', UTF-8"),
    "empty-columns.csv": (
        text(head=(*HEAD, "", ""), rows=[*WIDE[:2], [""] * 7, *WIDE[2:]]),
        "6 rows, separator ';', UTF-8",
    ),
    "comments.csv": (
        b"# made by hand\r\n\r\n#;;\r\n" + text(encoding="utf-8") + b"\r\n  # the end; \"\r\n;;;;\r\n",
        "6 rows, separator ';', UTF-8",
    ),
    "yes-no.csv": (text(rows=labelled(["No", "YES"])), "6 rows, separator ';', UTF-8"),
    "ja-nein.csv": (text(rows=labelled(["nein", "Ja"])), "6 rows, separator ';', UTF-8"),
    "wahr-falsch.csv": (text(rows=labelled(["FALSCH", "WAHR"])), "6 rows, separator ';', UTF-8"),
    "pandas-floats.csv": (
        text(rows=changed("frames", lambda row: row[4] and float(row[4]), labelled([0.0, 1.0])), separator=","),
        "6 rows, separator ',', UTF-8",
    ),
    "decimal-comma.csv": (text(rows=labelled(["0,0", "1,0"])), "6 rows, separator ';', UTF-8"),
    "capital-splits.csv": (
        text(rows=changed("split", lambda row: {"train": "Train", "test": "Testing"}[row[3]])),
        "6 rows, separator ';', UTF-8",
    ),
    "validation.csv": (
        text(rows=changed("split", lambda row: {"train": "Training", "test": "Validation"}[row[3]])),
        "6 rows, separator ';', UTF-8; 2 validation videos are used as test videos",
    ),
    "category-as-label.csv": (
        text(head=("video", "label", "split", "frames"), rows=CATEGORY),
        "6 rows, separator ';', UTF-8; categories from the column 'label': Fight (2), Theft (1)",
    ),
    "windows-paths.csv": (
        text(rows=changed("video", lambda row: f"D:\\Kamera\\März\\{row[0].replace('/', chr(92))}")),
        "6 rows, separator ';', UTF-8",
    ),
    "paths-from-above.csv": (
        text(rows=changed("video", lambda row: f".\\camera\\{row[0].replace('/', chr(92))}")),
        "6 rows, separator ';', UTF-8",
    ),
    "without-endings.csv": (
        text(rows=changed("video", lambda row: row[0].rpartition(".")[0].upper())),
        "6 rows, separator ';', UTF-8",
    ),
    "a-row-twice.csv": (text(rows=[*ROWS, ROWS[1], ROWS[2]]), "8 rows, separator ';', UTF-8"),
}  # fmt: skip
EXCEL_2003 = (
    b'<?xml version="1.0"?>\r\n<?mso-application progid="Excel.Sheet"?>\r\n'
    b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
)
FORMULA = [[*ROWS[0][:3], '=IF(1=1,"test","train")'], *ROWS[1:]]
REFUSED = {
    "old.xls": (made("old.xls"), "an Excel file of the old kind (.xls), or one with a password, not a table; save the"),
    "old-renamed.csv": (made("old.xls"), "an Excel file of the old kind (.xls)"),
    "open.ods": (made("open.ods"), "an OpenDocument file (.ods), not a table; save the table as CSV (UTF-8) or .xlsx"),
    "flat.csv": (made("flat.fods"), "an OpenDocument file (.fods)"),
    "page.csv": (made("page.html"), "an HTML page, not a table"),
    "excel-2003.csv": (EXCEL_2003, "an Excel file of the kind 'XML spreadsheet 2003'"),
    "numbers.csv": (archive(**{"Index/Document.iwa": b"x"}), "a Numbers document, not a table"),
    "word.csv": (archive(**{"word/document.xml": b"x"}), "a Word document, not a table"),
    "json.csv": (b'[{"video": "a.mp4", "label": 1}]', "a JSON file, not a table"),
    "xml.csv": (b"<?xml version='1.0'?>\n<annotations/>", "an XML file, not a table"),
    "cut-off.xlsx": (made("workbook.xlsx")[:3000], "a damaged workbook or archive"),
    "damaged.xlsx": (archive(**{"xl/workbook.xml": b"<x"}), "not a workbook that can be read"),
    "not-computed.xlsx": (workbook(("a", [HEAD, *FORMULA])), "row 2: a formula without its value; open the workbook"),
    "errors.xlsx": (workbook(("a", [HEAD, ["#REF!", *ROWS[0][1:]], *ROWS[1:]])), "row 2: no file '#REF!'"),
    "two-sheets.xlsx": (
        workbook(("A", [HEAD, *ROWS]), ("B", [HEAD])), "the sheets 'A' and 'B' both have these columns"
    ),
    "no-rows.xlsx": (workbook(("A", [])), "the workbook has no rows"),
    "mac.csv": (text(encoding="mac-roman"), "would be read as Windows-1252"),
    "cyrillic.csv": (text(rows=[("ворота.mp4", *ROWS[0][1:])], encoding="cp1251"),
        "would be read as Windows-1252"),
    "mixed.csv": (text(encoding="utf-8") + "süd.mp4;0".encode("cp1252"), "would be read as Windows-1252"),
    "german-heads.csv": (
        text(head=("Datei", "Label", "Art", "Satz", "Bilder")),
        "no column 'video'; the first line must name video, label; it is 'Datei', 'Label', 'Art', 'Satz', 'Bilder' "
        "(separator ';', UTF-8)",
    ),
    "good-bad.csv": (
        text(rows=labelled(["Good", "Bad"])), "line 2: label 'Good' of gate/cam1.mp4; line 3: label 'Bad' of gate/"
    ),
    "other-words.csv": (
        text(head=HEAD[:2], rows=[(row[0], ["leer", "voll"][row[1]]) for row in ROWS]),
        "no row is labelled normal; the labels are 'leer' (3), 'voll' (3); use 0, 1, normal or abnormal",
    ),
    "misspelt.csv": (
        text(rows=labelled(["norml", "1"])), "line 2: label 'norml' of gate/cam1.mp4 (is it 'normal'?); line 4"
    ),
    "names-normal.csv": (text(rows=labelled(["Normal_Videos", "1"])), "label 'Normal_Videos' of gate/cam1.mp4 (is it "),
    "two-categories.csv": (
        text(rows=labelled(["normal", "robbery"])), "gate/cam2.mp4 has the label 'robbery' but the category 'fight'"
    ),
    "contradiction.csv": (
        text(rows=[*ROWS, ("gate/cam1.mp4", 1, "fight", "train", 250)]),
        "gate/cam1.mp4 has two rows that contradict each other, line 2 (normal, train, 250 frames) and line 8 (fight, "
        "train, 250 frames); keep one",
    ),
    "two-spellings.csv": (
        text(rows=[*ROWS, ("GATE\\cam1", 0, "", "train", 250)]), "gate/cam1.mp4 has two rows of two spellings, line 2"
    ),
    "nearest.csv": (
        text(rows=[("gate/cam_1.mp4", *ROWS[0][1:]), *ROWS[1:]]),
        "line 2: no file 'gate/cam_1.mp4', the nearest is 'gate/cam1.mp4'; correct the name, add the file to",
    ),
    "comma-in-name.csv": (
        text(separator=",").replace(b'"', b""),
        "line 5: 6 columns, where the first line has 5: 'Größe', 'zwei.mp4', '1', 'fight', 'test', '1000'; write text "
        "that has ',' in it in quotes",
    ),
    "cut-row.csv": (text() + b"gate", "line 8: 1 columns, expected 5: 'gate'; complete the row"),
    "long-name.csv": (text(rows=[("a" * 100_000, *ROWS[0][1:]), *ROWS[1:]]), "has a part of 100,000 bytes, where"),
    "normal-of-a-category.csv": (
        text(rows=[(ROWS[0][0], 0, "Theft", "train", 250), *ROWS[1:]]),
        "line 2: gate/cam1.mp4 is labelled normal but of the category 'Theft', as abnormal ones are; fix one",
    ),
    "thousands.csv": (text(rows=changed("frames", lambda row: row[4] and "1.000")), "frames '1.000' of gate/cam1.mp4"),
}  # fmt: skip


@pytest.fixture
def camera(tmp_path) -> Path:
    folder = tmp_path / "camera"
    for name in EXPECTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_there_are_many():
    assert len(READ) >= 30
    assert len(REFUSED) >= 20


@pytest.mark.parametrize("name", READ)
def test_a_table_is_read_right_and_says_how(name, camera):
    content, said = READ[name]
    path = camera / f"labels{Path(name).suffix}"
    path.write_bytes(content)
    dataset = open_folder(camera)
    found = {v.name: (v.label, v.category.lower(), v.split, v.frames) for v in dataset.videos}
    assert found == EXPECTED
    assert [video.path for video in dataset.videos] == [camera / name for name in found]
    assert not dataset.drawn
    unused = "; not read: column 'seconds'" * name.startswith("libreoffice")  # they have one more, and nobody may guess
    assert dataset.understood == f"{path.name}: {said}{unused}"


def test_a_column_that_has_another_name_is_told_in_both_tables(camera):
    rows = "".join(f"{name};{label};{what};{split}\n" for name, (label, what, split, _) in EXPECTED.items())
    (camera / "labels.csv").write_text(f"Video;Label;Kategorie;Split;wrong;\n{rows}")
    spans = "".join(f"{name};0;9;x;y\n" for name, (label, *_) in EXPECTED.items() if label)
    (camera / "intervals.csv").write_text(f"video;start_frame;end_frame;Art;Notiz\n{spans}")
    labels, intervals = open_folder(camera).understood.split("; intervals.csv")
    assert labels == "labels.csv: 6 rows, separator ';', UTF-8; not read: column 'kategorie'"
    assert intervals.endswith("; not read: columns 'art', 'notiz'")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_with_what_was_found(name, camera):
    content, says = REFUSED[name]
    path = camera / f"labels{Path(name).suffix}"
    path.write_bytes(content)
    with pytest.raises(WsvadError) as error:
        open_folder(camera)
    assert says in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1500
    assert str(error.value).startswith(str(path))


def test_all_wrong_rows_are_one_message(camera):
    rows = [(f"missing{number}.mp4", number % 2, "", "train", "") for number in range(12)]
    (camera / "labels.csv").write_bytes(text(rows=[*ROWS, *rows, ("yard.avi", "?", "", "", ""), ("yard.avi", 2)]))
    with pytest.raises(WsvadError) as error:
        open_folder(camera)
    said = str(error.value)
    assert said.startswith(f"{camera / 'labels.csv'}: 14 mistakes: line 20: label '?' of yard.avi; line 21: ")
    assert all(f"line {8 + number}: no file 'missing{number}.mp4'" in said for number in range(8))
    assert "missing8" not in said
    remedies = "use 0, 1, normal or abnormal; correct the name, add the file to"
    assert said.endswith(f"; and 4 more; {remedies} {camera}, or delete the row")
    assert len(said) < 2000


def test_ten_wrong_ones_among_a_hundred_thousand_rows(tmp_path):
    wrong = range(5000, 100_000, 10_000)
    rows = [f"cam{n % 7}/{n:06}.mp4;{'perhaps?' if n in wrong else n % 2};train\n" for n in range(100_000)]
    (tmp_path / "labels.csv").write_text("video;label;split\n" + "".join(rows))
    with pytest.raises(WsvadError) as error:
        open_folder(tmp_path, need_videos=False)
    said = str(error.value)
    assert ": 10 mistakes: " in said
    assert all(f"line {n + 2}: label 'perhaps?' of cam{n % 7}/{n:06}.mp4" in said for n in wrong)


def test_files_without_a_row_are_told_together_with_wrong_rows(camera):
    (camera / "labels.csv").write_bytes(text(rows=[(*ROWS[0][:1], "2", *ROWS[0][2:]), *ROWS[1:-2]]))
    with pytest.raises(
        WsvadError, match=r"3 mistakes: line 2: label '2'.*hof_nord.mkv: has no row.*yard.avi: has no row"
    ):
        open_folder(camera)


def test_a_name_that_begins_as_a_comment_is_hinted_at(camera):
    (camera / "#7.mp4").write_bytes(b"")
    (camera / "labels.csv").write_bytes(text(rows=[*ROWS, ("#7.mp4", 0, "", "", "")]))
    with pytest.raises(
        WsvadError, match=r"#7.mp4: has no row.*a line that begins with # is a comment, unless the name"
    ):
        open_folder(camera)
    (camera / "labels.csv").write_bytes(text() + b'"#7.mp4";0;;train;\r\n')
    assert len(open_folder(camera).videos) == 7


def test_an_ending_that_two_files_have_has_to_be_written(camera):
    (camera / "yard.mp4").write_bytes(b"")
    (camera / "labels.csv").write_bytes(text(rows=changed("video", lambda row: row[0].removesuffix(".avi"))))
    with pytest.raises(WsvadError, match=r"line 6: 'yard' may be yard.avi or yard.mp4; write the whole name"):
        open_folder(camera)


def test_two_paths_of_one_name_are_two_spellings(camera):
    rows = [("C:/a/yard.avi", *ROWS[4][1:]), ("C:/b/yard.avi", *ROWS[4][1:]), *ROWS[:4], *ROWS[5:]]
    (camera / "labels.csv").write_bytes(text(rows=rows))
    with pytest.raises(WsvadError, match=r"yard.avi has two rows of two spellings, line 2 .* and line 3"):
        open_folder(camera)


def test_names_without_ending_mean_the_same_where_the_videos_are_not_needed(camera):
    """Features are kept by the names of files, in whichever way rows are written."""
    (camera / "labels.csv").write_bytes(text(rows=changed("video", lambda row: row[0].rpartition(".")[0])))
    names = [video.name for video in open_folder(camera, need_videos=False).videos]
    assert names == [video.name for video in open_folder(camera).videos] == list(EXPECTED)


def test_three_splits_leave_validation_for_training(camera):
    (camera / "labels.csv").write_bytes(text(rows=[(*ROWS[0][:3], "val", 250), *ROWS[1:]]))
    dataset = open_folder(camera)
    assert {v.name: v.split for v in dataset.videos} == {name: row[2] for name, row in EXPECTED.items()}
    assert "1 validation videos are used for training, from which videos are held out" in dataset.understood


def test_capitals_make_no_second_category(camera):
    rows = changed("category", lambda row: {"Größe, zwei.mp4": "FIGHT ; theft"}.get(row[0], row[2]))
    (camera / "labels.csv").write_bytes(text(rows=rows))
    (camera / "intervals.csv").write_text("video;category;Start frame;End frame\nGröße, zwei;Theft;10,0;20.0\n" * 1)
    found = {video.name: video for video in open_folder(camera).videos}["Größe, zwei.mp4"]
    assert found.category == "fight;theft"
    assert found.intervals == (Interval(start=10, end=20, category="theft"),)


def test_capitals_in_the_name_of_the_table_do_not_matter(camera):
    (camera / "Labels.CSV").write_bytes(text())
    (camera / "labels.xlsx").write_bytes(workbook(("a", [HEAD])))
    dataset = open_folder(camera)
    assert len(dataset.videos) == 6
    assert dataset.understood == "Labels.CSV: 6 rows, separator ';', UTF-8; labels.xlsx is not read"


# ------------------------------------------------------------------------------------------------------------ intervals

TRUTH_HEAD = ("video", "category", "start_frame", "end_frame")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            text(head=TRUTH_HEAD, rows=[("Größe, drei.mp4", "fight", 1, 5), ("yard.avi", "fight", 1, 5)]),
            "2 mistakes: line 2: no video is called 'Größe, drei.mp4' in the labels (the nearest is 'Größe, "
            "zwei.mp4'); line 3: yard.avi is labelled normal but has an interval",
        ),
        (
            text(head=("video", "from", "to"), rows=[]),
            "no column 'start_frame'; the first line must name video, start_",
        ),
        (made("page.html"), "an HTML page, not a table"),
    ],
)
def test_a_table_of_intervals_that_does_not_fit_can_be_left_out(content, says, camera):
    (camera / "labels.csv").write_bytes(text())
    (camera / "intervals.csv").write_bytes(content)
    with pytest.raises(WsvadError) as error:
        open_folder(camera)
    assert says in str(error.value)
    assert str(error.value).endswith("; to leave this table out, move it away or use --intervals none")
    with pytest.raises(WsvadError) as error:
        open_folder(camera, intervals=camera / "intervals.csv")
    assert "--intervals none" not in str(error.value)
    dataset = open_folder(camera, intervals="none")
    assert [video.intervals for video in dataset.videos] == [None] * 6
    assert open_folder(**dataset.source).videos == dataset.videos


def test_intervals_may_be_a_workbook_and_name_videos_as_labels_do(camera):
    (camera / "labels.csv").write_bytes(text())
    row = ["C:\\x\\Größe, zwei.MP4", "fight", 10.0, 20]
    (camera / "intervals.xlsx").write_bytes(workbook(("a", [TRUTH_HEAD, row, row])))
    found = open_folder(camera)
    assert found.test[1].intervals == (Interval(start=10, end=20, category="fight"),)
    assert found.understood == "labels.csv: 6 rows, separator ';', UTF-8; intervals.xlsx: 2 rows, sheet 'a'"


def test_without_openpyxl_the_remedy_is_told(camera, monkeypatch):
    (camera / "labels.xlsx").write_bytes(made("workbook.xlsx"))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(
        WsvadError, match=r"reading \.xlsx needs openpyxl; pip install 'wsvad\[xlsx\]', or save the table as"
    ):
        open_folder(camera)


# -------------------------------------------------------------------------------------------------- on the command line


def test_what_was_understood_is_said_and_a_truth_that_does_not_fit_is_left_out(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name in ("Tür 1.mp4", "hof.mp4"):
        write_video(tmp_path / "camera" / name, rng.integers(0, 255, (20, 32, 32, 3), dtype=np.uint8), 10)
    (tmp_path / "camera" / "labels.csv").write_bytes("Video;Label;;\r\nTür 1;nein;;\r\nHOF;ja;;\r\n".encode("cp1252"))
    (tmp_path / "camera" / "intervals.csv").write_text("video,from,to\n")
    said = "labels.csv: 2 rows, separator ';', Windows-1252"
    extracted = ["extract", str(tmp_path / "camera"), "--rgb", "motion", "--out", str(tmp_path / "f"), "--workers", "0"]
    assert main(extracted) == 0
    assert said in capsys.readouterr().err.splitlines()
    assert {path.name for path in (tmp_path / "f").rglob("*.safetensors")} == {
        "Tür 1.mp4.safetensors",
        "hof.mp4.safetensors",
    }
    fitted = ["fit", str(tmp_path / "camera"), "--features", str(tmp_path / "f"), "--out", str(tmp_path / "run"),
              "--method", "mil"]  # fmt: skip
    assert main(fitted) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "intervals.csv: no column 'start_frame'" in line
    assert line.endswith("; to leave this table out, move it away or use --intervals none")
    fitted[fitted.index("--features") + 1] = str(tmp_path / "nothing")
    assert main([*fitted, "--intervals", "none"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == said
    assert "nothing" in lines[-1] and "intervals" not in lines[-1]


# ---------------------------------------------------------------------------------------------------- hostile workbooks


def sheet_of(tmp_path, change):
    """A workbook whose sheet was changed."""
    path = tmp_path / "labels.xlsx"
    with zipfile.ZipFile(io.BytesIO(workbook(("a", [HEAD, *ROWS])))) as old, zipfile.ZipFile(path, "w", 8) as new:
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, change(content.decode()) if part == "xl/worksheets/sheet1.xml" else content)
    return path


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(camera, monkeypatch):
    monkeypatch.setattr("wsvad.tables.workbook.UNPACKED", 10 * 2**20)
    path = sheet_of(camera, lambda xml: xml + " " * 20 * 2**20)
    assert path.stat().st_size < 2**18
    with pytest.raises(WsvadError, match=r"labels.xlsx: unpacks to 20 MB, more than a table has"):
        open_folder(camera)


def test_what_a_sheet_says_of_its_size_is_not_believed(camera):
    far = '<row r="99999999999"><c r="A99999999999"><v>1</v></c></row></sheetData>'
    sheet_of(
        camera,
        lambda xml: xml.replace('ref="A1:E7"', 'ref="A1:XFD1048576"').replace("</sheetData>", far),
    )
    assert len(open_folder(camera).videos) == 6


def test_entities_of_a_sheet_are_not_expanded(camera):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    sheet_of(
        camera, lambda xml: f'<!DOCTYPE x [<!ENTITY e0 "{"x" * 1000}">{entities}]>{xml.replace("train", "&e11;", 1)}'
    )
    with pytest.raises(WsvadError, match=r"labels\.xlsx"):
        open_folder(camera)
