"""Which reading of a paper each budget takes, as a table made from the configurations; writes `readings.md` beside it.

python docs/readings.py

Listed is what `--budget paper` and `--budget data` have differently, and every field whose docstring names a question
of the paper by its number (A1, A2, …) or a departure of the official code.
"""

import re
from dataclasses import fields
from pathlib import Path

from docstring_parser import parse_from_object

from wsvad.methods import METHODS
from wsvad.methods.method import default_config

HEAD = """# Which budget takes which reading

`wsvad fit` has the budget `paper` by default: the published reading wherever the paper is clear, also where another
one is better; a printed formula goes before the words about it. Where a paper leaves a question open, both budgets have
our choice. `data`, the budget of `train`, `bench` and `ablate`, has what we found better for small sets (**bold**). Any
field can be set by itself: `--config.FIELD VALUE`. Beside these, `paper` has the published iterations, batch and
segments, and `data` a share of them (`wsvad fit --help=all`). Made by `python docs/readings.py`.

"""
QUESTION = re.compile(r"\(A\d+\)|official code")


def page() -> str:
    """The table, and what is said above it."""
    lines = ["| method | field | `paper` | `data` | what it is |", "| --- | --- | --- | --- | --- |"]
    for name in METHODS:
        config_class = METHODS[name].config_class
        paper, data = (default_config(config_class, budget) for budget in ("paper", "data"))
        told = {p.arg_name: p.description or "" for p in parse_from_object(config_class).params}
        for field in fields(config_class):
            said = " ".join(told.get(field.name, "").split())
            ours = [shown(getattr(config, field.name)) for config in (paper, data)]
            if ours[0] != ours[1] or QUESTION.search(said):
                ours[1] = ours[1] if ours[0] == ours[1] else f"**{ours[1]}**"
                lines.append(f"| {name} | `{field.name}` | {' | '.join(ours)} | {said.replace('|', chr(92) + '|')} |")
    return HEAD + "\n".join(lines) + "\n"


def shown(value: object) -> str:
    """A value as a reader types it."""
    plain = {True: "yes", False: "no", None: "none"}
    if value is None or isinstance(value, bool):
        return plain[value]
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
