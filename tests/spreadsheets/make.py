"""Makes the tables beside this file with LibreOffice (`apt-get install libreoffice-calc`), from one made with openpyxl.

    python tests/spreadsheets/make.py

`tests/unit/datasets/test_spreadsheets.py` says what each of them is read as.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import openpyxl

HERE = Path(__file__).parent
CSV = "csv:Text - txt - csv (StarCalc)"
COMMA, SEMICOLON, TAB, QUOTE = 44, 59, 9, 34
WESTERN, UTF8, UTF16 = 1, 76, 65535
GERMAN, ENGLISH = 1031, 1033
ROWS = (
    ("gate/cam1.mp4", False, None, "train", 250),
    ("gate/cam2.mp4", True, "fight", "train", 300),
    ("Tür hinten.mp4", False, None, "test", None),
    ("Größe, zwei.mp4", True, "fight", "test", 1000),
    ("yard.avi", False, None, "train", None),
    ("hof_nord.mkv", True, "theft", "train", 75),
)


def csv_filter(
    separator: int, charset: int, language: int = ENGLISH, quote_all: bool = False, shown: bool = True
) -> str:
    """The options of LibreOffice's export as text, in its order."""
    options = (separator, QUOTE, charset, 1, "", language, str(quote_all).lower(), str(shown).lower(), "false")
    return f"{CSV}:{','.join(map(str, options))}"


MADE = {
    "comma-utf8.csv": csv_filter(COMMA, UTF8),
    "semicolon-windows.csv": csv_filter(SEMICOLON, WESTERN),
    "tab-utf16.csv": csv_filter(TAB, UTF16),
    "german.csv": csv_filter(SEMICOLON, WESTERN, GERMAN),
    "all-quoted.csv": csv_filter(COMMA, UTF8, quote_all=True),
    "values.csv": csv_filter(SEMICOLON, UTF8, shown=False),
    "workbook.xlsx": "xlsx",
    "old.xls": "xls:MS Excel 97",
    "open.ods": "ods",
    "flat.fods": "fods",
    "page.html": "html:HTML (StarCalc)",
}


def workbook(path: Path, truth: str) -> None:
    """A table as somebody writes it: a column of a formula, an empty column, a comment and an empty row; true and false
    in a format of their own."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Labels"
    sheet.append(["Video", " Label ", "Category", "Split", "Frames", None, "Seconds"])
    for number, row in enumerate(ROWS):
        if number == 2:
            sheet.append(["# recorded in March"])
            sheet.append([])
        sheet.append([*row, None, f"=E{sheet.max_row + 1}/25" if row[4] else None])
    for row in sheet.iter_rows(min_col=2, max_col=2, min_row=2):
        row[0].number_format = truth
    book.save(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.xlsx")
        for name, form in MADE.items():
            workbook(source, "[$-407]BOOLEAN" if name == "german.csv" else "General")
            words = ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", form]
            subprocess.run([*words, "--outdir", f"{folder}/out", source], check=True, stdout=subprocess.DEVNULL)
            Path(folder, "out", f"source.{form.partition(':')[0]}").replace(HERE / name)
            print(name, (HERE / name).stat().st_size, file=sys.stderr)


if __name__ == "__main__":
    main()
