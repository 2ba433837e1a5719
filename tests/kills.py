"""Processes that are killed at random moments. One process forks them, so that Python starts once."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alerts import wait_for

LOOP = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
{code}

def step(text):
    file = os.open(folder / "steps.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{text}}\\n".encode())
    os.close(file)

def child(turn):
    run(turn)
    os._exit(0)

for line in sys.stdin:
    process = os.fork() or child(int(line))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Forks:
    """`code` defines `run(turn)`, which calls `step(text)` after each piece of work."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]):
        self._steps = folder / "steps.txt"
        self._process = process

    @property
    def steps(self) -> list[str]:
        return self._steps.read_text().split() if self._steps.exists() else []

    def kill(self, turn: int, chance: random.Random) -> None:
        """Let it work for some steps, of which there may be none, and a moment more."""
        process, enough = self._start(turn), len(self.steps) + chance.choice((0, 1, 2, 3, 5))
        wait_for(lambda: len(self.steps) >= enough)
        threading.Event().wait(chance.choice((0, 0.001, 0.003, 0.01, 0.03)))
        os.kill(process, signal.SIGKILL)
        assert self._status() == -signal.SIGKILL

    def kill_when(self, turn: int, seen: Callable[[], bool]) -> None:
        """Let it work until something is seen; it must not be at its end by then."""
        process = self._start(turn)
        wait_for(seen, seconds=600, pause=0.002)
        os.kill(process, signal.SIGKILL)
        assert self._status() == -signal.SIGKILL, "it was at its end before"

    def finish(self, turn: int) -> int:
        """Let it work to its end; its status."""
        self._start(turn)
        return self._status()

    def _start(self, turn: int) -> int:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{turn}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def _status(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())


@contextmanager
def forks(folder: Path, code: str) -> Iterator[Forks]:
    command = [sys.executable, "-c", LOOP.format(code=code), str(folder), str(Path(__file__).parent)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Forks(folder, process)
        finally:
            process.kill()
