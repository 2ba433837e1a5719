"""When a recording began, by the clock on the wall: as somebody says, as its name says, or as the file itself says.

    gate_20240115_093000.mp4          2024-01-15 09:30:00, in the time zone of the camera
    2024-01-15/gate/09.30.00.mp4      the date in a folder's name

The name is believed before the container, whose `creation_time` is often the end of the recording, or the time of a
copy. All arithmetic is on moments with a time zone, so that an event in the night of a clock change is told right.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wsvad.errors import UsageError
from wsvad.video.reader import open_container, video_stream

EARLIEST = 1980
"""No video file was recorded before; a recorder whose clock was never set says 1970."""
TOMORROW = timedelta(days=1)
"""How far ahead of our clock a recorder's may be, time zones and all."""

_DATE = r"(?P<year>(?:19|20)\d\d)(?P<s{n}>[-._/]?)(?P<month>\d\d)(?P=s{n})(?P<day>\d\d)"
_TIME = r"(?P<hour>[01]\d|2[0-3])(?P<t{n}>[-._:h]?)(?P<minute>[0-5]\d)(?:[-._:m]?)(?P<second>[0-5]\d|60)s?"
_FRACTION = r"(?:[.,_]?(?P<fraction>\d{3}))?"
_ZONE = r"(?P<zone>Z|[+-](?:0\d|1[0-4]):?(?:00|15|30|45))?"  # other digits there are a number of the recorder's
_FORMS = tuple(
    re.compile(form)
    for form in (
        # Most recorders: 20240115_093000, 2024-01-15T09-30-00Z, NVR_ch1_main_20240115093000_20240115100000, D1_S2024…
        rf"(?<!\d){_DATE.format(n=0)}(?:[ T_.\-@/]{{0,3}}|[ _]at[ _]){_TIME.format(n=0)}{_FRACTION}{_ZONE}(?!\d)",
        # A folder of a day, then what else there is, then the time: 2024-01-15/001/dav/09/09.30.00-09.40.00
        rf"(?<!\d){_DATE.format(n=0)}(?!\d).*?/(?:[^/]*?[^\d/])??{_TIME.format(n=0)}(?!\d)[^/]*$",
        # Front Door - 1-15-2024, 9.30.00 AM
        r"(?<!\d)(?P<month>\d{1,2})-(?P<day>\d{1,2})-(?P<year>(?:19|20)\d\d)[ ,_]+"
        r"(?P<hour>\d{1,2})[.:-](?P<minute>[0-5]\d)[.:-](?P<second>[0-5]\d)[ _]?(?P<half>AM|PM|am|pm)",
    )
)
_FIELDS = {
    "camera": r"(?P<camera>[^/]+?)",
    "date": r"(?P<year>\d{4})[-._]?(?P<month>\d\d)[-._]?(?P<day>\d\d)",
    "time": r"(?P<hour>\d\d)[-._:]?(?P<minute>\d\d)(?:[-._:]?(?P<second>\d\d))?(?:[.,_]?(?P<fraction>\d{3}))?",
    "year": r"(?P<year>\d{4})",
    "month": r"(?P<month>\d{1,2})",
    "day": r"(?P<day>\d{1,2})",
    "hour": r"(?P<hour>\d{1,2})",
    "minute": r"(?P<minute>\d{1,2})",
    "second": r"(?P<second>\d{1,2})",
    "epoch": r"(?P<epoch>\d{10}(?:\d{3})?)",
    "*": r"[^/]*?",
}
"""What may stand in braces in a pattern of names, and what it stands for."""

Origin = Literal["given", "name", "container"]
TAGS = ("com.apple.quicktime.creationdate", "creation_time", "date_utc", "date")
"""Tags of a container that say when it was recorded: Apple's date, which has a time zone, before the universal one."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """When a recording began."""

    moment: datetime
    """With its time zone, which is also that of the events."""
    origin: Origin
    camera: str = ""
    """What a pattern of names calls the camera; empty where there is none."""
    here: bool = False
    """The time zone is this computer's, whose distance from universal time may change during the recording."""

    def at(self, seconds: float) -> datetime:
        """The moment that comes so many seconds into the recording."""
        later = self.moment.astimezone(UTC) + timedelta(seconds=seconds)
        return later.astimezone(None if self.here else self.moment.tzinfo)

    def words(self, seconds: float) -> str:
        """That moment, to the second: "Mon 2024-01-15 09:30:00 CET"."""
        return f"{self.at(seconds):%a %Y-%m-%d %H:%M:%S %Z}"


@dataclass(frozen=True, kw_only=True)
class WallClock:
    """Where the start of recordings is looked for."""

    zone: tzinfo | None = None
    """Of times that come without one; None is this computer's."""
    given: datetime | None = None
    """The start of every video; without a time zone it is in `zone`."""
    pattern: "NamePattern | None" = None
    """What names look like. Without one, usual names of recorders are known."""

    def start(self, name: str, metadata: Mapping[str, str] | None = None) -> Start | None:
        """When a video began.

        Args:
            name: the video's name with its folders.
            metadata: of its container.

        Returns:
            None where nobody says, or what they say cannot be: before 1980, or in the future.
        """
        if self.given is not None:
            return self._start(self._local(self.given), "given")
        if self.pattern is not None:
            found = self.pattern.read(name)
            if found is not None and (moment := self._believed(found[0])):
                return self._start(moment, "name", found[1])
        elif moment := next(filter(None, map(self._believed, _moments(name))), None):
            return self._start(moment, "name")
        stamp = _container_time(metadata or {})
        moment = self._believed(stamp) if stamp is not None else None
        return None if moment is None else self._start(moment, "container")

    def _start(self, moment: datetime, origin: Origin, camera: str = "") -> Start:
        return Start(moment=moment, origin=origin, camera=camera, here=self.zone is None)

    def _local(self, moment: datetime) -> datetime:
        """A moment in the time zone that is shown; one without a zone is in it."""
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone) if self.zone else moment.astimezone()
            # An hour that a clock change leaves out is the one after it.
            moment = moment.astimezone(UTC)
        return moment.astimezone(self.zone) if self.zone else moment.astimezone()

    def _believed(self, moment: datetime) -> datetime | None:
        try:
            local = self._local(moment)
        except (OverflowError, ValueError, OSError):  # at the ends of the calendar
            return None
        return local if local.year >= EARLIEST and local <= datetime.now(UTC) + TOMORROW else None


class NamePattern:
    """What a folder's names look like: text with `{camera}`, `{date}`, `{time}` and others in braces."""

    def __init__(self, text: str):
        """
        Args:
            text: as `{camera}_{date}_{time}`: the last parts of a name, without its ending. `{*}` is anything.

        Raises:
            UsageError: something else is in braces, something twice, or there is no date with a time.
        """
        self.text = text
        names = re.findall(r"{([^{}]*)}", text)
        if unknown := [name for name in names if name not in _FIELDS]:
            raise UsageError(f"--name-pattern {text}: {{{unknown[0]}}} is not known; there are {_braces(_FIELDS)}")
        pieces = re.split(r"({[^{}]*})", text)
        pattern = "".join(_FIELDS[piece[1:-1]] if piece.startswith("{") else re.escape(piece) for piece in pieces)
        try:
            self._compiled = re.compile(rf"(?:^|/){pattern}$")
        except re.error:
            raise UsageError(
                f"--name-pattern {text}: names something twice; use {{*}} for what does not matter"
            ) from None
        groups = self._compiled.groupindex
        if "epoch" not in groups and not {"year", "month", "day", "hour"} <= set(groups):
            raise UsageError(f"--name-pattern {text}: needs {{date}} and {{time}}, as in {{camera}}_{{date}}_{{time}}")

    def read(self, name: str) -> tuple[datetime, str] | None:
        """The moment and the camera that a name tells; None where the name does not look like this."""
        bare = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
        for one in (bare, name):
            if found := self._compiled.search(one):
                parts = found.groupdict()
                moment = _moment(parts)
                return None if moment is None else (moment, parts.get("camera") or "")
        return None


def parse_start(text: str) -> datetime:
    """A moment that somebody typed, `2024-01-15 09:30` or `2024-01-15T09:30:00+01:00`.

    Raises:
        UsageError: it is none, is in the future, or comes before there was video on computers.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        aware = moment if moment.tzinfo else moment.astimezone()
        ahead = aware > datetime.now(UTC) + TOMORROW
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--start {text}: not a date with a time; write 2024-01-15T09:30:00, with +01:00 or without"
        ) from None
    if ahead or aware.year < EARLIEST:
        raise UsageError(f"--start {text}: {'in the future' if ahead else f'before {EARLIEST}'}; check the year")
    return moment


def parse_zone(text: str) -> ZoneInfo:
    """A time zone by its name, `Europe/Berlin` or `UTC`.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"--time-zone {text}: not known here; use a name such as Europe/Berlin or UTC") from None


def tags_of(path: Path) -> dict[str, str]:
    """What a video's container says of when it was recorded; nothing is decoded.

    Raises:
        WsvadError: it cannot be read.
    """
    with open_container(path) as container:
        tags = dict(container.metadata) | dict(video_stream(container, path).metadata)
    return {key.lower(): value for key, value in tags.items() if key.lower() in TAGS}


def _moments(name: str) -> Iterator[datetime]:
    """What in a name can be read as a moment, the likeliest first: the file's own name before its folders'."""
    bare = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)
    own = bare.rsplit("/", 1)[-1]
    for text in (own, bare) if own != bare else (own,):
        for form in _FORMS:
            for found in form.finditer(text):
                if moment := _moment(found.groupdict()):
                    # Telephones of one maker write universal time.
                    yield moment.replace(tzinfo=UTC) if own.startswith("PXL_") else moment


def _moment(parts: Mapping[str, str | None]) -> datetime | None:
    """A moment of its parts in digits; None where there is no such day, hour or time zone."""
    if epoch := parts.get("epoch"):
        return datetime.fromtimestamp(int(epoch) / 10 ** (len(epoch) - 10), UTC)
    year, month, day, hour, minute, second = (
        int(parts.get(key) or 0) for key in ("year", "month", "day", "hour", "minute", "second")
    )
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half.lower() == "pm")
    micro = int(parts.get("fraction") or 0) * 1000
    try:
        # A leap second is the last one of its minute.
        moment = datetime(year, month, day, hour, minute, min(second, 59), micro)
        zone = parts.get("zone")
        return moment if not zone else datetime.fromisoformat(f"{moment.isoformat()}{zone}")
    except ValueError:
        return None


def _container_time(metadata: Mapping[str, str]) -> datetime | None:
    """When a container says that it was recorded."""
    tags = {key.lower(): value for key, value in metadata.items()}
    for key in TAGS:
        text = tags.get(key, "").strip()
        try:
            if len(text) > len("2024-01-15"):  # a day alone is no start
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo or key == "date" else moment.replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _braces(names: Mapping[str, str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
