"""What users and readers of the API see is plain technical English: idioms that were replaced do not come back."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

SOURCE = ROOT / "src" / "wsvad"

IDIOMS = re.compile(
    r"\b(mend(s|ed|ing)?|ran away|eats?|told|made up|makes? (\w+ )*up|by heart|leans? on|is there twice|goes on from"
    r"|like with like|speaks? of|rightly|truly|anew|of ours|said to)\b",
    re.IGNORECASE,
)
"""Wordings of our own that a reader without English as a first language stumbles over."""


def documented(tree: ast.Module) -> dict[int, str]:
    """Docstrings, also those of fields, by the identity of their node → `public` or `private`."""
    found = {}

    def walk(node: ast.Module | ast.ClassDef | ast.FunctionDef, public: bool) -> None:
        for child in node.body:
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                found[id(child.value)] = "public" if public and not isinstance(node, ast.Module) else "private"
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                walk(child, public and not child.name.startswith("_"))

    walk(tree, public=True)
    return found


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of all that a file of ours shows: string literals (keys of records among them), and docstrings of
    public names. Comments and private docstrings may keep their voice."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = documented(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and docs.get(id(node)) != "private":
            yield node.lineno, " ".join(node.value.split())


def test_replaced_idioms_do_not_come_back():
    shown = [
        *SOURCE.rglob("*.py"),
        *SOURCE.rglob("templates/*.html"),
        ROOT / "README.md",
        ROOT / "docs" / "first-day.md",
    ]
    assert len(shown) > 100
    found = [(path.name, line, text) for path in shown for line, text in texts(path) if IDIOMS.search(text)]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise E(f"{p}: mend it")', 1),
        ('record = {"told": 1}', 1),
        ("# told in a comment\nx = 1", 0),
        ('def f():\n    """Told."""', 1),
        ('def _f():\n    """Told."""', 0),
        ('class A:\n    x: int\n    """It makes streams up."""', 1),
        ('x = "a recommended amendment, beaten"', 0),
    ],
)
def test_the_check_itself_sees_what_is_shown(source, found, tmp_path):
    (tmp_path / "x.py").write_text(source)
    assert len([text for _, text in texts(tmp_path / "x.py") if IDIOMS.search(text)]) == found
