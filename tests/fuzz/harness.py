"""Runs damaged files through the program and says how each case ends.

Cases run one after the other in a forked process, in which everything is imported already. The process that forked it
watches: one that hangs or takes too much memory is killed, and the next case begins in another.
"""

import ctypes
import gc
import io
import json
import os
import pkgutil
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from wsvad.errors import WsvadError

Case = Sequence[str] | Callable[[], object]
"""The words of a command line, or a function."""
Kind = Callable[[random.Random, Path], Case]

OK, REFUSED = "ok", "refused in one line"
INTERNAL, UNCLEAR, HANG, MEMORY, HALF = "internal error", "refused unclearly", "hang", "over 1 GB", "half file left"
NOTHING = "a damaged run says nothing abnormal"
ENDINGS = (OK, REFUSED, INTERNAL, UNCLEAR, HANG, MEMORY, HALF, NOTHING)
"""The first two are right."""

SECONDS = 5.0
"""Of the processor's time; more is a hang."""
WALL = 30.0
"""So is this, whatever it waits for."""
MOST = 2**30 - 300 * 2**20
"""Bytes that a case may take beside the 300 MB of a process that has done nothing but imports."""
TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")
"""The name of a file that is being written (`wsvad.files.atomic`)."""

KINDS: dict[str, Kind] = {}
PREPARE: dict[str, Callable[[], object]] = {}


def kind(name: str, prepare: Callable[[], object] | None = None) -> Callable[[Kind], Kind]:
    """Register a kind of file. What `prepare` makes (a cached function) is there for every case."""

    def register(function: Kind) -> Kind:
        KINDS[name] = function
        PREPARE[name] = prepare or (lambda: None)
        return function

    return register


def kinds() -> dict[str, Kind]:
    """All kinds by name."""
    from fuzz import kinds as modules

    for module in pkgutil.iter_modules(modules.__path__):
        import_module(f"fuzz.kinds.{module.name}")
    return KINDS


class Fault(Exception):
    """What a case ends with that is wrong, one of `ENDINGS`, and the reason in words."""

    def __init__(self, ending: str, words: object = ""):
        super().__init__(ending, words)
        self.ending, self.words = ending, str(words)


@dataclass(frozen=True)
class Ended:
    """How a case ended."""

    number: int
    ending: str
    words: str
    """Its line, or what was wrong."""

    @property
    def fault(self) -> bool:
        return self.ending not in (OK, REFUSED)


def command(words: Sequence[str]) -> str:
    """Run a command line; what it writes on stdout.

    Raises:
        WsvadError: it was refused, in one line.
        Fault: it ended in another way.
    """
    from wsvad.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    lines = err.getvalue().rstrip("\n").split("\n")
    if "internal error" in err.getvalue() or "Traceback" in err.getvalue():
        raise Fault(INTERNAL, lines[-1])
    if status in (0, 3):
        return out.getvalue()
    if status not in (1, 2) or not lines[-1].startswith("wsvad"):
        raise Fault(UNCLEAR, f"status {status}, last line: {lines[-1]!r}")
    raise WsvadError(lines[-1].partition(": ")[2])


def run_case(name: str, number: int, seed: int) -> tuple[str, str]:
    """One case, in this process: its ending, and words on it."""
    folder = Path(tempfile.mkdtemp(prefix="wsvad-fuzz-"))
    before, start = _memory(fresh=True), time.process_time()
    try:
        case = KINDS[name](random.Random(f"{name} {seed} {number}"), folder)
        ending, words = _ending(case)
        if (more := _memory() - before) > MOST:
            return MEMORY, f"{more / 2**20:.0f} MB: {words}"
        if (took := time.process_time() - start) > SECONDS:
            return HANG, f"{took:.1f} s: {words}"
        if half := [path for path in folder.rglob(".*") if TEMPORARY.fullmatch(path.name)]:
            return HALF, str(half[0])
        return ending, words
    finally:
        for path in (path for path in folder.rglob("*") if not path.is_symlink()):
            with suppress(OSError):
                path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def _ending(case: Case) -> tuple[str, str]:
    try:
        case() if callable(case) else command(case)
    except Fault as fault:
        return fault.ending, fault.words
    except WsvadError as error:
        words = str(error)
        return (UNCLEAR, repr(words)) if "\n" in words or len(words) > 2000 or not words else (REFUSED, words)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return INTERNAL, f"{type(error).__name__}: {str(error)[:500]} ({Path(place.filename).name}:{place.lineno})"
    return OK, ""


def _memory(fresh: bool = False) -> int:
    """The most bytes that the process held since the last fresh start; at one, those that it holds."""
    if fresh:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    assert found
    return int(found[1]) * 1024


# ------------------------------------------------------------------------------------------------------- many of them


def run(name: str, count: int, *, seed: int = 0, only: Iterable[int] = ()) -> Iterator[Ended]:
    """Run cases of a kind; the endings come in order."""
    kinds()
    PREPARE.get(name, lambda: None)()
    numbers = list(only) or list(range(count))
    while numbers:
        for ended in _batch(name, tuple(numbers), seed):
            numbers.remove(ended.number)
            yield ended


def _batch(name: str, numbers: Sequence[int], seed: int) -> Iterator[Ended]:
    """Run cases in a process of their own, up to the first that takes it down."""
    give_back()
    reading, writing = os.pipe()
    if (process := os.fork()) == 0:
        os.close(reading)
        _work(name, numbers, seed, writing)
    os.close(writing)
    base, waiting, begun, held = _size(process), iter(numbers), time.monotonic(), b""
    number = next(waiting)
    fault = ""
    try:
        while True:
            if select.select([reading], [], [], 0.1)[0]:
                got = os.read(reading, 1 << 16)
                if not got:
                    break
                *lines, held = (held + got).split(b"\n")
                for line in lines:
                    yield Ended(*json.loads(line))
                    begun, number = time.monotonic(), next(waiting, -1)
            elif _size(process) - base > MOST:
                fault = MEMORY
                break
            elif time.monotonic() - begun > WALL:
                fault = HANG
                break
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        os.close(reading)
    if number >= 0:
        words = f"killed after {time.monotonic() - begun:.0f} s" if fault else f"the process ended, status {status}"
        yield Ended(number, fault or INTERNAL, words)


def give_back() -> None:
    """Give memory that is free but still held back to the system: a case that filled it would take none that is
    seen."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _work(name: str, numbers: Sequence[int], seed: int, writing: int) -> None:
    """The forked process: a line for each case. It never returns."""
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 0)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)  # libraries in other languages write there
        # What asks for more than any machine has gets an error at once, as there.
        resource.setrlimit(resource.RLIMIT_AS, (64 * 2**30, 64 * 2**30))
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
        for number in numbers:
            line = json.dumps([number, *run_case(name, number, seed)]) + "\n"
            os.write(writing, line.encode())
    finally:
        os._exit(0)


def _size(process: int) -> int:
    """Bytes that a process holds."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()
