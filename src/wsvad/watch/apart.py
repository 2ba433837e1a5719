"""A share of the cameras in a process of its own: threads of one process wait for each other wherever Python itself
works, so that sixteen cameras left a tenth of two processors idle and lost snippets; two processes hold them.

The process reads cameras, computes, keeps events and writes clips. It tells this one of alerts, states and what it
logs, and ends with it.
"""

import logging
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from wsvad.errors import WsvadError
from wsvad.processes import Logged, Pipe, forked, how_it_ended, start
from wsvad.resident import give_back
from wsvad.sinks.alert import Alert
from wsvad.sinks.sink import CameraState
from wsvad.watch.share import WAIT, Hears, Model, Now, Plan, Share, refuse_stuck

logger = logging.getLogger(__name__)

EVERY = 0.25
"""Seconds from one state of the cameras to the next."""
TIDY = 60.0
"""Seconds after which free memory goes back."""
GRACE = 5.0
"""Seconds beyond those that a share takes to end, after which its process is killed."""


@dataclass(frozen=True)
class _Loaded:
    models: dict[str, Model]


@dataclass(frozen=True)
class _Wake:
    pass


@dataclass(frozen=True)
class _Ended:
    """In order, or because of an error."""

    error: WsvadError | None = None


class Apart:
    """As `Share`."""

    def __init__(self, plan: Plan):
        """Start the process. It loads the models meanwhile."""
        self._names = list(plan.site.cameras)
        self._process, connection = start(forked([__name__]), _live, plan)
        self._pipe = Pipe(connection)
        self._changed = threading.Condition()
        self._models: dict[str, Model] | None = None
        self._ended: _Ended | None = None
        self._hears: Hears | None = None
        self._now: Now | None = None
        threading.Thread(target=self._listen, name="share", daemon=True).start()

    @property
    def models(self) -> dict[str, Model]:
        """Wait for them.

        Raises:
            WsvadError: one of them cannot be loaded.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._models is not None or self._ended is not None)
            self._refuse_end()
            assert self._models is not None
            return self._models

    def begin(self, hears: Hears) -> None:
        """As `Share.begin`.

        Raises:
            WsvadError: the folder cannot be written.
        """
        self._hears = hears
        with suppress(OSError):
            self._pipe.send("begin")
        with self._changed:
            self._changed.wait_for(lambda: self._now is not None or self._ended is not None)
        self._refuse_end()

    def check(self) -> None:
        """As `Share.check`.

        Raises:
            WsvadError: it has ended on its own, or a thread of it does not move any more.
        """
        self._refuse_end()
        refuse_stuck(self.now())

    def _refuse_end(self) -> None:
        if self._ended is not None and self._ended.error is not None:
            raise self._ended.error

    def now(self) -> Now:
        """How it was a moment ago."""
        assert self._now is not None
        return self._now

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def end(self) -> None:
        """As `Share.end`."""
        with suppress(OSError):
            self._pipe.send("end")
        # Not of the process itself: whoever forked it, and would know, may have been ended by the same signal.
        with self._changed:
            self._changed.wait_for(lambda: self._ended is not None, 2 * WAIT + GRACE if self._hears else 0)
        if self._ended is None and self._hears:
            logger.warning("the process that watches %s does not end, and is killed", ", ".join(self._names))
        if self._ended is None:
            self._process.kill()
        self._process.join()

    def _listen(self) -> None:
        """The life of the thread that hears what the process says."""
        try:
            while self._ended is None:
                self._hear(self._pipe.recv())
        except (EOFError, OSError):
            self._process.join()
            names = ", ".join(self._names)
            how = how_it_ended(self._process)
            self._set_ended(_Ended(WsvadError(f"the process that watches {names} {how}; ending, to be started again")))

    def _hear(self, what: object) -> None:
        match what:
            case Logged():
                what.log(logger)
            case Now():
                with self._changed:
                    self._now = what
                    self._changed.notify_all()
            case _Loaded(models):
                with self._changed:
                    self._models = models
                    self._changed.notify_all()
            case _Ended():
                self._set_ended(what)
            case _Wake() if self._hears:
                self._hears.wake()
            case Alert() if self._hears:
                try:
                    self._hears.alert(what)
                except Exception:  # whose it is does not matter: the next one is told again
                    logger.exception("%s: the alert was not taken as it should", what.camera)
            case CameraState() if self._hears:
                self._hears.show(what)

    def _set_ended(self, ended: _Ended) -> None:
        with self._changed:
            self._ended = ended
            self._changed.notify_all()


# -------------------------------------------------------------------------------------------------- in the process


def _live(pipe: Pipe, plan: Plan) -> None:
    """The life of the process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which a supervisor sends to all processes: it is for the first one
    ended = threading.Event()

    def tell(what: object) -> None:
        with suppress(OSError):  # nobody is there: this process is about to end
            pipe.send(what)

    try:
        share = Share(plan)
        tell(_Loaded(share.models))
        if _asked(pipe) != "begin":
            return
        threading.Thread(target=_wait, args=(pipe, ended), daemon=True).start()
        share.begin(Hears(alert=tell, wake=lambda: tell(_Wake()), show=tell))
        tidied = time.monotonic()
        while True:
            tell(share.now())
            if ended.wait(EVERY):
                break
            if time.monotonic() - tidied > TIDY:
                tidied = time.monotonic()
                give_back()
        share.end()
        tell(share.now())
        tell(_Ended())
    except WsvadError as error:
        tell(_Ended(error))


def _asked(pipe: Pipe) -> str:
    """What it is to do next; to end, where nobody is there any more."""
    try:
        return str(pipe.recv())
    except (EOFError, OSError):
        return "end"


def _wait(pipe: Pipe, ended: threading.Event) -> None:
    """Wait until it is to end."""
    _asked(pipe)
    ended.set()
