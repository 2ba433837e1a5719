"""Verbs for cameras: watch, look how it goes, calibrate on site, find out how many cameras a machine carries."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from wsvad.cli.common import DONE, FOUND_WRONG, tell
from wsvad.cli.options import Folder, Run
from wsvad.cli.output import changing, say, show, show_json, table
from wsvad.environment import hidden
from wsvad.errors import UsageError, WsvadError
from wsvad.ranges import Positive, Range

if TYPE_CHECKING:
    from wsvad.sinks.alert import Alert
    from wsvad.watch.camera import State
    from wsvad.watch.settings import Site

Form = Annotated[str, "WIDTHxHEIGHT@RATE|VIDEO"]
OnSite = Annotated[str, "cameras.yaml | RUN VIDEO"]
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
        changing(lambda: map(line_of, watched.states())) as draw,
    ):
        for name, model in watched.models.items():
            say(f"{name}: {hidden(site.source(name).shown)}, threshold {model.threshold:.3g}; {model.why}")
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
        # Whoever read the output may have left, or its disk is full: cameras are watched on.
        with lock, suppress(OSError, WsvadError):
            show(dumps(alert.as_dict()) if json else f"{alert.title}: {alert.text}")

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
        for part in (
            f"{state.name:<16} {mark:<12}",
            form,
            score,
            left,
            counts,
            lost,
            behind,
            state.said,
            state.error,
            state.note,
        )
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
    tell(found.notes)
    say(found.sentence)
    return DONE if found.well else FOUND_WRONG


def calibrate(
    what: list[OnSite],
    camera: Annotated[str, "NAME"] | None = None,
    max_false_alarms_per_day: Positive = 1.0,
    hours: Positive = 24.0,
    device: Annotated[str, "DEVICE"] = "cpu",
    json: bool = False,
) -> int:
    """Set the threshold of one camera from its own normal footage.

    Give the run and videos of the camera (or folders of them) in which nothing happens, or its address, which is then
    watched; a cameras.yaml knows model, address and zones. The footage is scored as 'wsvad watch' does. The threshold
    is kept in RUN/cameras/NAME.json, where 'wsvad watch' finds it; the model does not change. Ctrl-C ends it early,
    with the footage that there is.

    Args:
        what: cameras.yaml, or the run folder of a detector; then videos, or the address of the camera.
        camera: Name of the camera, as in cameras.yaml (default: its only one, or 'camera').
        max_false_alarms_per_day: Set the lowest threshold that keeps this budget, as far as the footage can tell.
        hours: Of a live camera, how long it is watched.
        device: Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them.
        json: Print the result as JSON.
    """
    from wsvad.datasets.folder import videos_in
    from wsvad.locks import writing
    from wsvad.video.address import kind_of
    from wsvad.watch.calibrate import A_DAY, calibrate_camera, of_camera, of_videos
    from wsvad.watch.model import models_of

    site, name, sources = _camera_of(what, camera)
    videos = [Path(source) for source in sources if kind_of(source) == "file"]
    if len(videos) < len(sources) and len(sources) > 1:
        raise UsageError("give videos and folders of them, or the address of one camera")
    model = models_of(site, device=device)[name]
    with stopping() as stopped:
        if videos:
            footage = of_videos(model, site.cameras[name], [path for _, path in videos_in(videos)], stopped)
        else:
            footage = of_camera(site, name, model, hours, stopped)
    with writing(model.detector.run):
        found = calibrate_camera(model, name, footage, max_false_alarms_per_day * A_DAY)
    if json:
        show_json({"camera": name, **vars(found.calibration), "path": str(found.path)})
    else:
        show(f"{name}: threshold {found.calibration.threshold:.4g}")
    tell(found.sentences)
    say(f"kept in {found.path}; 'wsvad watch' uses it for the camera '{name}'")
    return DONE


def _camera_of(what: list[str], camera: str | None) -> tuple["Site", str, list[str]]:
    """A site, the camera of it that is meant, and what its footage is, if it is not that camera itself.

    Raises:
        UsageError: it is not clear which one is meant.
    """
    import dataclasses

    from wsvad.video.address import kind_of
    from wsvad.watch.settings import CameraSettings, Site, key_of, read_site

    first, *sources = what
    if Path(first).suffix.lower() in (".yaml", ".yml"):
        site = read_site(Path(first))
        names = list(site.cameras)
        if camera is None and len(names) > 1:
            raise UsageError(f"--camera is missing; one of: {', '.join(names)}")
        name = names[0] if camera is None else camera
        if name not in names:
            raise UsageError(f"--camera {name}: {first} has no such camera; it has: {', '.join(names)}")
        live = [source for source in sources if kind_of(source) != "file"]
        settings = site.cameras[name]
        settings = dataclasses.replace(settings, source=live[0]) if live else settings
        return Site(cameras={name: settings}, models=site.models), name, sources
    if not sources:
        raise UsageError(f"{first}: normal footage is missing, as in 'wsvad calibrate {first} normal-videos'")
    name = "camera" if camera is None else camera
    key_of(name, f"--camera '{name}'")
    live = [source for source in sources if kind_of(source) != "file"]
    settings = CameraSettings(source=live[0] if live else sources[0])
    return Site(cameras={name: settings}, models={name: Path(first)}), name, sources


def capacity(
    run: Run,
    camera: list[Form],
    codec: Literal["h264", "hevc", "mjpeg"] = "h264",
    device: Annotated[str, "DEVICE"] = "cpu",
    json: bool = False,
) -> int:
    """Measure how many cameras this machine can watch with a run.

    A video of the camera's size is generated, or one that it has made is taken. What a frame takes is measured by its
    parts; then so many cameras are watched for ten seconds as 'wsvad watch' does, up to three times, and what they take
    says how many there may be. Pictures with much noise or motion take longer to decode, so a video of your camera says
    more. What other programs do makes each frame dearer: let the machine be quiet. The number leaves a fifth of the
    processors free.

    Args:
        run: Run folder of a detector.
        camera: Size and frame rate of the cameras, such as 1280x720@25, or a video from one of them; several are
            several rows.
        codec: What cameras of a size send.
        device: Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them. On the CPU, 'wsvad encoders
            --time' says which runtime to take.
        json: Print the result as JSON.
    """
    from wsvad.progress import track
    from wsvad.watch.capacity import measure

    found = [measure(run, form, codec, device) for form in track(camera, "measure")]
    if json:
        show_json([one.as_dict() for one in found])
    else:
        head = ["camera", "networks", "read", "decode", "convert", "encode", "head", "rest", "all", "cameras"]
        show(table(head, [one.cells for one in found], numbers=8, title="milliseconds of a processor for each frame"))
    tell(one.sentence for one in found)
    return DONE
