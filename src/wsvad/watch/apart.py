"""A share of the cameras in a process of its own: threads of one process wait for each other wherever Python itself
works, so that sixteen cameras left a tenth of two processors idle and lost snippets; two processes hold them.

The process reads cameras, computes, keeps events and writes clips. It tells this one of alerts, states and what it
logs, and ends with it.
"""

import logging
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from wsvad.errors import WsvadError, shortage
from wsvad.processes import Logged, Pipe, forked, how_it_ended, sendable, start
from wsvad.registry import at_fault
from wsvad.resident import give_back
from wsvad.sinks.alert import Alert
from wsvad.sinks.sink import CameraState
from wsvad.spelling import reason
from wsvad.watch.camera import State
from wsvad.watch.share import WAIT, Hears, Model, Now, Plan, Share, stuck

logger = logging.getLogger(__name__)

EVERY = 0.25
"""Seconds from one state of the cameras to the next."""
SILENT = 5.0
"""Seconds without one after which the process does not answer."""
TIDY = 60.0
"""Seconds after which free memory goes back."""
GRACE = 5.0
"""Seconds beyond those that a share takes to end, after which its process is killed."""
UNSAID = 1000
"""Alerts and messages that wait to be told where nobody reads what is told; the next ones are left out."""


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
        self._names = ", ".join(plan.site.cameras)
        self._process, connection = start(forked([__name__]), _live, plan)
        self._pipe = Pipe(connection)
        self._changed = threading.Condition()
        self._models: dict[str, Model] | None = None
        self._ended: _Ended | None = None
        self._hears: Hears | None = None
        self._now: Now | None = None
        self._untold: queue.Queue[Alert | Logged | None] = queue.Queue(UNSAID)
        # Who is told may keep a thread waiting, as a terminal does that is stopped; who hears must not wait.
        self._teller = threading.Thread(target=self._tell, name="share", daemon=True)
        self._teller.start()
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
        if self._now is not None and (said := stuck(self._now)):
            self._set_ended(_Ended(WsvadError(said)))
            self._refuse_end()

    def _refuse_end(self) -> None:
        if self._ended is not None and self._ended.error is not None:
            raise self._ended.error

    @property
    def failed(self) -> bool:
        """As `Share.failed`."""
        return self._ended is not None and self._ended.error is not None

    def now(self) -> Now:
        """How it was a moment ago."""
        assert self._now is not None
        silent = time.monotonic() - self._now.at
        if silent < SILENT or self._ended is not None:
            return self._now
        return replace(self._now, states=[_unheard(state, silent) for state in self._now.states])

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
            logger.warning("the process that watches %s does not end, and is killed", self._names)
        if self._ended is not None:
            self._process.join(GRACE)
        self._process.kill()
        self._process.join()
        with suppress(queue.Full):
            self._untold.put(None, timeout=GRACE)
        self._teller.join(GRACE)

    # ------------------------------------------------------------------------------------------------------ threads

    def _listen(self) -> None:
        """Hear what the process says."""
        try:
            while self._ended is None:
                self._hear(self._pipe.recv())
        except (EOFError, OSError):
            self._process.join()
            how = how_it_ended(self._process)
            said = f"the process that watches {self._names} {how}; ending, to be started again"
            self._set_ended(_Ended(WsvadError(said)))
        except Exception as error:  # whatever it is, nobody would hear of the process any more
            logger.debug("a message of another process cannot be read", exc_info=True)
            said = f"what the process that watches {self._names} sends cannot be read ({reason(error)}); ending"
            self._set_ended(_Ended(WsvadError(said)))

    def _hear(self, what: object) -> None:
        match what:
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
            case CameraState() if self._hears:
                self._hears.show(what)
            case Alert() | Logged():
                with suppress(queue.Full):
                    self._untold.put_nowait(what)

    def _set_ended(self, ended: _Ended) -> None:
        with self._changed:
            self._ended = self._ended or ended
            self._changed.notify_all()

    def _tell(self) -> None:
        """Tell what was heard."""
        while (what := self._untold.get()) is not None:
            try:
                if isinstance(what, Logged):
                    what.log(logger)
                elif self._hears:
                    self._hears.alert(what)
            except Exception:  # whose it is does not matter: the next one is told again
                logger.debug("on_alert or a log handler failed", exc_info=True)


def _unheard(state: State, seconds: float) -> State:
    """A state that is so many seconds old."""
    health = state.health
    if health.age is not None:
        health = replace(health, age=health.age + seconds)
    said = f"the process that watches it does not answer for {seconds:.0f} s"
    return replace(state, state="not answering", said=said, health=health)


# -------------------------------------------------------------------------------------------------- in the process


def _live(pipe: Pipe, plan: Plan) -> None:
    """The life of the process."""

    def tell(what: object) -> None:
        with suppress(OSError):  # nobody is there: this process is about to end
            pipe.send(what)

    try:
        _watch(pipe, plan, Hears(alert=tell, wake=lambda: tell(_Wake()), show=tell))
        tell(_Ended())
    except Exception as error:
        logger.debug("failed", exc_info=True)
        if said := shortage(error):
            error = WsvadError(said)
        elif not isinstance(error, WsvadError):
            to = f" to {whose}" if (whose := at_fault(error)) else ""
            error = WsvadError(f"{type(error).__name__}: {reason(error)}; report this{to}")
        tell(_Ended(sendable(error)))


def _watch(pipe: Pipe, plan: Plan, hears: Hears) -> None:
    share, ended = Share(plan), threading.Event()
    with suppress(OSError):
        pipe.send(_Loaded(share.models))
    if _asked(pipe) != "begin":
        return
    threading.Thread(target=_wait, args=(pipe, ended), daemon=True).start()
    share.begin(hears)
    tidied = time.monotonic()
    while True:
        with suppress(OSError):
            pipe.send(share.now())
        if ended.wait(EVERY):
            break
        if time.monotonic() - tidied > TIDY:
            tidied = time.monotonic()
            give_back()
    share.end()
    with suppress(OSError):
        pipe.send(share.now())


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
