"""What is watched and who hears of it: `cameras.yaml`, or a run and its sources on the command line.

model: runs/gate
cameras:
  gate:
    source: rtsp://viewer:${GATE_PASSWORD}@10.0.0.5/stream1
    alert: {between: "22:00-06:00", days: mon-fri}
sinks:
  phone: {type: apprise, url: "tgram://${TOKEN}/${CHAT}"}
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from wsvad.detection.alert_hours import AlertHours
from wsvad.environment import expand, hidden
from wsvad.errors import UsageError, WsvadError
from wsvad.files import parse_yaml, read_text, slug
from wsvad.ranges import Positive, Range, Score, hints_of
from wsvad.shapes import problems
from wsvad.sinks.sink import Sink, make
from wsvad.spelling import short, unknown
from wsvad.video.address import Source, Transport

Relative = Annotated[float, Range(0, 1)]
Zone = tuple[tuple[float, float], ...]
"""Corners of a polygon, as shares of width and height from the upper left."""
Port = Annotated[int, Range(0, 65535)]


@dataclass(frozen=True, kw_only=True)
class AlertTimes:
    """When events of a camera are alerts."""

    between: str | None = None
    """`22:00-06:00`, by the local clock."""
    days: str | None = None
    """`mon-fri`; a night is of its first day."""


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """One camera. `${NAME}` stands for a variable of the environment."""

    source: str
    """`rtsp://…`, `http://…`, `/dev/video0`, or a video file."""
    model: str | None = None
    """Run folder; by default the one of all cameras."""
    threshold: Score | None = None
    """Score at which an event starts; by default what 'wsvad calibrate' found for this camera, or the run's own."""
    transport: Transport = "tcp"
    """Of RTSP: tcp or udp."""
    pace: Literal["real time", "fast"] = "real time"
    """Of a video file: played as it was filmed, or as fast as it can be read."""
    rate: Positive | None = None
    """Frames per second to resample to; by default the rate of training, or the camera's own."""
    alert: AlertTimes | None = None
    """When events are alerts; by default always. Others are kept, and sent to nobody."""
    ignore: list[list[tuple[Relative, Relative]]] = field(default_factory=list)
    """Polygons that are blacked out before anything is computed."""

    @property
    def zones(self) -> tuple[Zone, ...]:
        return tuple(tuple((x, y) for x, y in zone) for zone in self.ignore)


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """Clips of events, and how much is kept."""

    before: Annotated[float, Range(0, 60)] = 5.0
    """Seconds before an event."""
    after: Annotated[float, Range(0, 60)] = 5.0
    """Seconds after it."""
    days: Positive = 30.0
    """Events, clips, pictures and features that are older are deleted."""
    gigabytes: Positive = 20.0
    """Where they take more, the oldest are deleted, reviewed ones first."""


@dataclass(frozen=True, kw_only=True)
class HealthSettings:
    """The page for supervisors, on loopback."""

    port: Port = 9470
    """Of `/healthz` and `/metrics`; 0 for any that is free."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """All of it."""

    cameras: Mapping[str, CameraSettings]
    models: Mapping[str, Path]
    """Camera → its run folder."""
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    clips: ClipSettings = field(default_factory=ClipSettings)
    health: HealthSettings = field(default_factory=HealthSettings)

    def hours(self, camera: str) -> AlertHours | None:
        """When events of a camera are alerts; None for always, also of a camera that is not there any more."""
        found = self.cameras.get(camera)
        return hours_of(found) if found else None

    def source(self, camera: str) -> Source:
        """Where a camera is, with its secrets.

        Raises:
            WsvadError: nothing can be there, or a variable is not set.
        """
        settings = self.cameras[camera]
        address = expand(settings.source, f"camera '{camera}'")
        return Source(address=address, transport=settings.transport, real_time=settings.pace == "real time")


def site_of(words: Sequence[str]) -> Site:
    """As it is given on the command line: `cameras.yaml`, or RUN SOURCE….

    Raises:
        WsvadError: it is wrong.
    """
    first, *sources = words
    if Path(first).suffix.lower() in (".yaml", ".yml"):
        if sources:
            raise UsageError(f"'{short(hidden(sources[0]))}': {first} names its sources itself; leave this out")
        return read_site(Path(first))
    if not sources:
        raise UsageError(
            f"{first}: a SOURCE is missing, as in 'wsvad watch {first} rtsp://HOST/PATH'; or name a cameras.yaml"
        )
    names = ["camera"] if len(sources) == 1 else [f"camera {number}" for number in range(1, len(sources) + 1)]
    cameras = {name: CameraSettings(source=source) for name, source in zip(names, sources, strict=True)}
    models, health = {name: Path(first) for name in names}, HealthSettings(port=0)
    return _checked(Site(cameras=cameras, models=models, health=health), "", {})


def read_site(path: Path) -> Site:
    """Read `cameras.yaml`. Folders of runs and video files are meant as seen from where it lies.

    Raises:
        WsvadError: it is missing, or something in it is wrong; the message names the place.
    """
    try:
        content = parse_yaml(read_text(path, "valid YAML", 2**20), _Strict)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML ({short(' '.join(str(error).split()), 300)})") from None
    if not isinstance(content, dict) or not isinstance(content.get("cameras"), dict) or not content["cameras"]:
        raise UsageError(f"{path}: names no camera; write 'cameras:' and below it a name, and its 'source:'")
    known = ("model", "cameras", "sinks", "clips", "health")
    for key in content:
        if key not in known:
            raise UsageError(f"{path}: {unknown(key, known, 'the file')}")
    cameras = {
        str(name): _one(path, f"cameras.{name}", given, CameraSettings) for name, given in content["cameras"].items()
    }
    base, models = content.get("model"), {}
    for name, camera in cameras.items():
        given = camera.model if camera.model is not None else base
        if given is not None and not isinstance(given, str):
            raise UsageError(f"{path}: model is {short(hidden(given))} instead of the path of a run folder")
        if not given:
            raise UsageError(
                f"{path}: cameras.{short(name)}: 'model' is missing; write 'model: RUN', once for all or here"
            )
        models[name] = path.parent / Path(given).expanduser()
        if (path.parent / camera.source).is_file():
            cameras[name] = dataclasses.replace(camera, source=str(path.parent / camera.source))
    sinks = content.get("sinks") or {}
    if not isinstance(sinks, dict):
        raise UsageError(f"{path}: sinks is {short(sinks)} instead of a mapping of names to settings")
    site = Site(
        cameras=cameras,
        models=models,
        clips=_one(path, "clips", content.get("clips") or {}, ClipSettings),
        health=_one(path, "health", content.get("health") or {}, HealthSettings),
    )
    return _checked(site, f"{path}: ", sinks)


def _one(path: Path, where: str, given: Any, kind: type) -> Any:
    """A part of the file as a dataclass."""
    if not isinstance(given, dict):
        what = " (a camera is 'NAME: {source: …}')" if kind is CameraSettings else ""
        raise UsageError(f"{path}: {short(where)} is {short(hidden(given))} instead of a mapping{what}")
    fields = [each.name for each in dataclasses.fields(kind)]
    for key in given:
        if key not in fields:
            raise UsageError(f"{path}: {short(where)}: {unknown(key, fields, short(where))}")
    if kind is CameraSettings and isinstance(alert := given.get("alert"), dict):
        given = given | {"alert": _one(path, f"{where}.alert", alert, AlertTimes)}
    plain = {key: value for key, value in given.items() if not dataclasses.is_dataclass(value)}
    for key, value in plain.items():
        for said in problems(value, hints_of(kind)[key], f"{where}.{key}"):
            raise UsageError(f"{path}: {short(hidden(said), 300)}")
    missing = [one.name for one in dataclasses.fields(kind) if _needed(one) and one.name not in given]
    if missing:
        raise UsageError(f"{path}: {short(where)}: '{missing[0]}' is missing")
    return kind(**given)


def _needed(one: dataclasses.Field[Any]) -> bool:
    return one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING


def _checked(site: Site, where: str, sinks: Mapping[Any, Any]) -> Site:
    """The site with its sinks, if all of it can be."""
    alike: dict[str, str] = {}
    for name, camera in site.cameras.items():
        there = f"{where}cameras.{short(name)}" if where else f"camera '{name}'"
        key = key_of(name, there)
        if key in alike:
            raise UsageError(
                f"{where}cameras '{alike[key]}' and '{name}' would have the same file names; rename one of them"
            )
        alike[key] = name
        with _placed(there):
            site.source(name)
            hours_of(camera)
        if too_few := next((zone for zone in camera.zones if len(zone) < 3), None):
            raise UsageError(f"{there}.ignore: a zone of {len(too_few)} corners; it needs three or more")
    with _placed(where.removesuffix(": ")):
        return dataclasses.replace(site, sinks={str(name): make(str(name), given) for name, given in sinks.items()})


def key_of(name: str, where: str) -> str:
    """A camera's name as its files have it.

    Raises:
        UsageError: nothing is left of it, or it is too long.
    """
    key = slug(name)
    if not key or len(name) > 100:
        raise UsageError(f"{where}: a camera needs a name with letters or digits, of at most 100 letters")
    return key


@contextmanager
def _placed(where: str) -> Iterator[None]:
    """Errors in the block begin with a place."""
    try:
        yield
    except WsvadError as error:
        raise UsageError(f"{where}: {hidden(error)}") from None


def hours_of(camera: CameraSettings) -> AlertHours | None:
    """When events of a camera are alerts."""
    if camera.alert is None:
        return None
    try:
        return AlertHours.of(camera.alert.between, camera.alert.days)
    except UsageError as error:
        raise UsageError(f"alert: {str(error).removeprefix('--')}") from None


class _Strict(yaml.SafeLoader):
    """Of two values under one name, YAML keeps the last without a word; here they are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in names and name is not None:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: '{name}' is there a second time; rename one")
            names.add(name)
        return super().construct_mapping(node, deep)
