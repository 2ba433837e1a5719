"""Processes that work for this one: how they begin, what they log, and how they end."""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from threading import Lock, Thread
from typing import Any

from wsvad.errors import UsageError, WsvadError
from wsvad.interrupts import unheard


@dataclass(frozen=True)
class Logged:
    """A message that another process logged."""

    level: int
    text: str

    def log(self, logger: logging.Logger) -> None:
        """Log it here."""
        logger.log(self.level, "%s", self.text)


class Pipe:
    """An end of a pipe, into which any thread may send."""

    def __init__(self, connection: Connection):
        self._connection, self._sending = connection, Lock()

    def send(self, what: Any) -> None:
        """
        Raises:
            OSError: nobody is there.
        """
        with self._sending:
            self._connection.send(what)

    def recv(self) -> Any:
        """Wait for what comes next; for one thread.

        Raises:
            EOFError, OSError: nobody is there.
        """
        return self._connection.recv()


def forked(preload: Sequence[str]) -> Any:
    """How processes begin that need the same modules. FFmpeg, and torch with its threads, do not survive a fork; but
    one process may import all that the others need, do nothing with it, and fork those: importing takes longer than a
    small fit."""
    if sys.platform != "linux":  # Windows has no fork, and what torch loads on macOS forbids one
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", *preload])
    return context


def start(
    context: Any, life: Callable[..., None], *arguments: Any, variables: Mapping[str, str] | None = None
) -> tuple[BaseProcess, Connection]:
    """Start a process that ends with this one; and this end of a pipe to it. It never hears of Ctrl-C, nor of SIGTERM,
    which supervisors send to all processes: they are for this one.

    Args:
        life: called there with the other end of the pipe, a `Pipe`, then the arguments.
        variables: of its environment, before anything is imported; beside those that this process has now.

    Raises:
        WsvadError: this process works in a folder that is not there any more.
    """
    ours, theirs = context.Pipe()
    level = logging.getLogger("wsvad").getEffectiveLevel()
    with unheard(signal.SIGTERM), _environment(variables or {}):
        given = (theirs, life, arguments, level, dict(os.environ))
        process = context.Process(target=_live, args=given, daemon=True)
        try:
            process.start()
        except FileNotFoundError as error:
            raise WsvadError("the folder in which this was started is gone; change to another one") from error
    theirs.close()
    # Where nobody has ended it, Python would ask it to end, of which it does not hear, and wait.
    Finalize(None, process.kill, exitpriority=0)
    return process, ours


def _live(
    connection: Connection,
    life: Callable[..., None],
    arguments: Sequence[Any],
    level: int,
    environment: dict[str, str],
) -> None:
    os.environ.clear()  # the process that forked this one may have begun under another
    os.environ.update(environment)
    Thread(target=end_with_parent, daemon=True).start()
    pipe, log = Pipe(connection), logging.getLogger("wsvad")
    log.setLevel(level)
    log.addHandler(_Teller(pipe))
    logging.captureWarnings(True)  # of libraries: nobody can do anything about them
    life(pipe, *arguments)


class _Teller(logging.Handler):
    def __init__(self, pipe: Pipe):
        super().__init__()
        self.pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self.pipe.send(Logged(record.levelno, record.getMessage()))


def end_with_parent() -> None:
    """Wait until the process that started this one has ended, however that was, and end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def sendable(error: WsvadError) -> WsvadError:
    """The same words as an error that another process can read: one of a class of its own may not be."""
    return UsageError(str(error)) if isinstance(error, UsageError) else WsvadError(str(error))


def how_it_ended(process: BaseProcess) -> str:
    """Of a process that has ended on its own: `was killed by SIGKILL (out of memory?)`."""
    code = process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return how + (" (out of memory?)" if code == -signal.SIGKILL else "")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started in the block has these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
