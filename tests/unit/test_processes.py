"""A process that works for this one has its folder and its environment of now, logs here, and says how it ended."""

import logging
import os
import signal
from pathlib import Path

import pytest

from wsvad.processes import Logged, Pipe, forked, how_it_ended, start


def live(pipe: Pipe, word: str) -> None:
    logging.getLogger("wsvad.here").info("left out")
    logging.getLogger("wsvad.here").warning("heard %s", word)
    pipe.send((str(Path.cwd()), [os.environ.get(name) for name in ("WSVAD_ONE", "WSVAD_TWO")]))
    if (number := pipe.recv()) < 0:
        os.kill(os.getpid(), -number)
    raise SystemExit(number)


@pytest.mark.parametrize(
    ("number", "said"),
    [(-signal.SIGKILL, "was killed by SIGKILL (out of memory?)"), (3, "ended with status 3"),
     (-signal.SIGSEGV, "was killed by SIGSEGV")],
)  # fmt: skip
def test_what_it_knows_and_says(tmp_path, monkeypatch, caplog, number, said):
    """Also the second and third, forked by a process that began in another folder with another environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WSVAD_ONE", str(number))
    monkeypatch.delenv("WSVAD_TWO", raising=False)
    caplog.set_level("WARNING", logger="wsvad")
    process, connection = start(forked([]), live, "a word", variables={"WSVAD_TWO": "2"})
    assert "WSVAD_TWO" not in os.environ
    logged, known = connection.recv(), connection.recv()
    assert known == (str(tmp_path), [str(number), "2"])
    assert logged == Logged(logging.WARNING, "heard a word")
    logged.log(logging.getLogger("wsvad.there"))
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("wsvad.there", "WARNING", "heard a word")
    ]
    connection.send(number)
    process.join(60)
    assert how_it_ended(process) == said
    with pytest.raises(EOFError):
        Pipe(connection).recv()
