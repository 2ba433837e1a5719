"""One place prints: `cli/output.py`."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import wsvad
from wsvad.cli.main import main

PACKAGE = Path(wsvad.__file__).parent
PRINTS = {"cli/output.py"}
RICH = {"cli/output.py"}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def test_nothing_else_prints():
    found = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print", "sys.stderr.write", "sys.stdout.write", "sys.stdout.buffer.write", "warnings.warn",
            ):  # fmt: skip
                found.add(name)
    assert found == PRINTS


def test_nothing_else_knows_rich():
    found = set()
    for name, tree in sources():
        for node in ast.walk(tree):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(module.split(".")[0] == "rich" for module in modules):
                found.add(name)
    assert found <= RICH


def test_brackets_of_an_installation_command_are_printed(capsys, monkeypatch):
    monkeypatch.setattr(import_module("wsvad.encoders.build"), "_installed", lambda scheme: scheme != "tflite")
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["encoders"]) == 0
    assert "pip install 'wsvad[litert]'" in capsys.readouterr().out
