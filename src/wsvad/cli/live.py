"""Verbs for cameras: watch, look how it goes, calibrate on site, find out how many cameras a machine carries."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from wsvad.cli.common import DONE, FOUND_WRONG
from wsvad.cli.options import Folder
from wsvad.cli.output import say, show, show_json, table
from wsvad.ranges import Range

if TYPE_CHECKING:
    from wsvad.sinks.alert import Alert
    from wsvad.watch.camera import State

What = Annotated[str, "cameras.yaml | RUN SOURCE"]
CheckSeconds = Annotated[float, "SECONDS", Range(0.5, 600)]


def watch(
    what: list[What],
    out: Folder = Path("watch"),
    check: bool = False,
    seconds: CheckSeconds = 10.0,
    device: Annotated[str, "DEVICE"] = "cpu",
    json: bool = False,
) -> int:
    """Watch cameras and send alerts, until Ctrl-C or SIGTERM.

    A SOURCE is rtsp://…, http://… (Motion JPEG), /dev/video0, or a video file, played as it was filmed. A cameras.yaml
    names cameras with their schedules, ignored zones and models, and where alerts go; docs/live.md describes it.
    Secrets are ${NAME} in it, from the environment. Alerts are printed, one a line. Events, pictures, clips and what is
    not delivered yet are kept in the output folder; after a kill the same command goes on, and no event is lost.

    Args:
        what: cameras.yaml; or the run folder of a detector, and one or more sources.
        out: Folder for events.db and clips.
        check: Only open each source for some seconds, and print what it sends and what will be run.
        seconds: Of --check.
        device: Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them.
        json: Print alerts, or the result of --check, as JSON.
    """
    from wsvad.watch.settings import site_of

    site = site_of(what)
    if check:
        from wsvad.watch.check import check_site

        found = check_site(site, seconds, device=device)
        if json:
            show_json([one.as_dict() for one in found])
        else:
            show(table(["camera", "source", "pictures", "key frames", "clock", "what will be run"],
                       [one.cells for one in found]))  # fmt: skip
        for one in found:
            for note in one.notes:
                say(f"{one.camera}: {note}")
        return DONE if all(one.works for one in found) else FOUND_WRONG

    from wsvad.watch.health import HealthServer
    from wsvad.watch.site import Watch, ready

    with (
        stopping() as stopped,
        Watch(site, out, on_alert=_printer(json), device=device) as watched,
        HealthServer(watched) as health,
        _lines(watched.states) as draw,
    ):
        for camera in watched.cameras:
            model = camera.model
            say(f"{camera.name}: {camera.shown}, threshold {model.threshold:.3g}; {model.why}")
        if not site.sinks:
            say("no sinks: alerts are printed and kept only; 'sinks:' in a cameras.yaml sends them")
        say(f"http://127.0.0.1:{health.port}/healthz and /metrics; 'wsvad status {out}' shows a table")
        ready()
        watched.run(stopped, show=draw)
    say(f"ended; events are in {out / 'events.db'}")
    return DONE


def _printer(json: bool) -> Callable[["Alert"], None]:
    lock = threading.Lock()  # alerts come from several threads

    def print_alert(alert: "Alert") -> None:
        with lock:
            if json:
                import json as coded

                show(coded.dumps(alert.as_dict()))
            else:
                show(f"{alert.title}: {alert.text}")

    return print_alert


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Set by Ctrl-C or SIGTERM. A second one ends the process as it would without this."""
    stopped = threading.Event()
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _: object) -> None:
        stopped.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _lines(states: Callable[[], list["State"]]) -> Iterator[Callable[[], None]]:
    """On a terminal a line a camera, which changes; elsewhere nothing but what is logged."""
    from wsvad.cli.output import terminal

    console = terminal()
    if console is None:
        yield lambda: None
        return
    from rich.live import Live
    from rich.text import Text

    from wsvad.spelling import plain

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda: live.update(Text("\n".join(plain(line_of(state)) for state in states())), refresh=True)


def line_of(state: "State") -> str:
    """How a camera is, on a line."""
    health = state.health
    form = f"{health.codec} {health.width}x{health.height} {health.rate or 0:.3g}/s" if health.codec else ""
    score = "" if state.score is None else f"score {state.score:.2f}/{state.threshold:.2f}"
    left = f"{state.left} snippets left" if state.state == "warming up" else ""
    counts = f"{state.counters.snippets:,} snippets, {state.counters.events:,} events"
    lost = f"{health.dropped:,} dropped" if health.dropped else ""
    behind = f"{health.behind:.1f} s behind" if health.behind > 1 else ""
    mark = "EVENT" if state.event else state.state
    return "  ".join(
        part
        for part in (f"{state.name:<16} {mark:<12}", form, score, left, counts, lost, behind, state.said, state.error)
        if part
    )


def status(folder: Folder, json: bool = False) -> int:
    """Show how the cameras of a watch are, also when its process is gone.

    Exit status 1 if it does not run, or a camera sends no pictures.

    Args:
        folder: Output folder of 'wsvad watch'.
        json: Print all of it as JSON.
    """
    from wsvad.watch.status import status_of

    found = status_of(folder)
    if json:
        show_json(found.as_dict())
    else:
        show(table(found.head, found.rows, numbers=6))
        if found.sinks:
            show(table(["sink", "delivered", "waiting", "dropped", "last error"], found.sinks))
    say(found.sentence)
    return DONE if found.well else FOUND_WRONG
