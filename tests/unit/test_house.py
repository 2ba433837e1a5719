"""Rules of the house that no linter knows. The order of rooms is in pyproject.toml, for import-linter."""

from places import ROOT

LONGEST = 500


def test_no_file_is_longer_than_a_few_screens():
    source = ROOT / "src" / "wsvad"
    lengths = {
        str(path.relative_to(source)): len(path.read_text(encoding="utf-8").splitlines())
        for path in source.rglob("*.py")
        if path.parent.name != "methods"
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
    assert len(lengths) > 100
