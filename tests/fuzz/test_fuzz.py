"""Eighty damaged files of each kind: each is read or refused in one line. `make sweep` tries two hundred, `make fuzz`
five thousand."""

import random

import pytest
from sweep import FULL

from fuzz import harness, mutate
from fuzz.harness import (
    HALF,
    HANG,
    INTERNAL,
    KINDS,
    MEMORY,
    NOTHING,
    OK,
    REFUSED,
    UNCLEAR,
    Fault,
    kinds,
    run,
)
from wsvad.errors import WsvadError

CASES = 200 if FULL else 80
SLOW, SLOWER = (80, 60) if FULL else (32, 24)
FEWER = {"thresholds": SLOW, **dict.fromkeys(("event stores", "kept scores", "models", "recipes"), SLOWER)}
"""Kinds of which a case is a whole command or two, loads a model, or waits for the disk."""


@pytest.mark.parametrize("name", list(kinds()))
def test_no_damaged_file_brings_the_program_down(name):
    cases = FEWER.get(name, CASES)
    ended = list(run(name, cases))
    assert [one for one in ended if one.fault] == []
    assert len(ended) == cases and {one.ending for one in ended} <= {OK, REFUSED}
    assert any(one.ending == REFUSED for one in ended)


ENDINGS = {
    "nothing": OK,
    "refuses": REFUSED,
    "two lines": UNCLEAR,
    "bug": INTERNAL,
    "dies": INTERNAL,
    "waits": HANG,
    "computes": HANG,
    "fills": MEMORY,
    "leaves": HALF,
    "silent": NOTHING,
    "no verb": REFUSED,
    "a verb": OK,
}


def ends(what, folder):
    """A case that ends in a way."""

    def case():
        match what:
            case "refuses":
                raise WsvadError("x.csv: not a table; write another")
            case "two lines":
                raise WsvadError("x.csv: not\na table")
            case "bug":
                raise KeyError("x")
            case "dies":
                harness.os.kill(harness.os.getpid(), harness.signal.SIGKILL)
            case "waits":
                harness.os.mkfifo(folder / "pipe")
                (folder / "pipe").read_text()
            case "computes":
                while True:
                    pass
            case "fills":
                filled = bytearray(b"x") * 2**28
                harness.time.sleep(9 + len(filled))
            case "leaves":
                (folder / ".0123abcd.scores.json").write_text("")
            case "silent":
                raise Fault(NOTHING)

    return {"no verb": ["scor"], "a verb": ["--version"]}.get(what, case)


def test_the_harness_itself_sees_each_ending(monkeypatch):
    monkeypatch.setattr(harness, "MOST", 2**27)
    monkeypatch.setitem(KINDS, "each", lambda rng, folder: ends(list(ENDINGS)[int(next(numbers))], folder))
    for number, (what, ending) in enumerate(ENDINGS.items()):
        numbers = iter([number])
        monkeypatch.setattr(harness, "WALL", 1 if ending == HANG else 60)  # a slow machine ends the others later
        (found,) = run("each", 1)
        assert (what, found.ending) == (what, ending), found.words


def test_memory_that_was_free_before_is_seen_when_it_is_filled(monkeypatch):
    large = bytearray(2**24 + 2**23)
    del large  # from now on blocks of that size come from the heap, and stay there when they are free
    held = [bytearray(b"y") * 2**24 for _ in range(20)]
    above = bytearray(b"z") * 2**24
    del held
    monkeypatch.setattr(harness, "MOST", 2**27)
    monkeypatch.setattr(harness, "WALL", 60)
    monkeypatch.setitem(KINDS, "each", lambda rng, folder: ends("fills", folder))
    (found,) = run("each", 1)
    assert (found.ending, len(above)) == (MEMORY, 2**24), found.words


def test_damage_is_the_same_for_the_same_seed_and_differs_else(tmp_path):
    value = {"a": [1, 2.5, "x"], "b": {"c": None}}

    def made(seed):
        rng = random.Random(seed)
        return repr(mutate.damaged_value(rng, value)), mutate.damaged_bytes(rng, b"0123456789" * 10)

    assert made(1) == made(1)
    assert len({made(seed) for seed in range(100)}) > 90
    assert value == {"a": [1, 2.5, "x"], "b": {"c": None}}
