"""An alert: what is sent when an event has lasted its shortest length, and once more when it is over.

`docs/alerts.md` describes its JSON.
"""

import math
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, NotRequired, TypedDict

from wsvad.errors import WsvadError
from wsvad.files import without_nan
from wsvad.shapes import problems
from wsvad.spelling import plain, short

VERSION = 1
"""Of the JSON form. A key that is added leaves it as it is."""
ANOMALY = "anomaly"
FAULTS = ("frozen", "black", "moved", "offline")
"""What may be wrong with a camera itself."""
State = Literal["start", "end"]


@dataclass(frozen=True, kw_only=True)
class Alert:
    """All moments are times of day with their zone."""

    id: str
    """The event's; the same in all that is sent of it."""
    state: State
    """`start` when an alert is due, `end` when the event is over."""
    camera: str
    kind: str = ANOMALY
    """Or, of an event of the camera itself, what is wrong with it: one of `FAULTS`."""
    run: str = ""
    """Name of the run whose model raised it."""
    start: datetime
    """When the event began."""
    end: datetime | None = None
    """When it was over; None while it lasts."""
    evidence: datetime
    """The first frame of the first snippet whose score reached the threshold."""
    due: datetime
    """The last frame that was needed to know that it is an event."""
    raised: datetime
    """When it was handed to the sinks, by the clock of this machine."""
    score: float
    """Its highest score so far, in [0, 1]."""
    threshold: float
    category: str = ""
    """The likeliest; empty where the model does not distinguish categories."""
    categories: dict[str, float] = field(default_factory=dict)
    """Probability of each, given that something abnormal happens."""
    attributions: dict[str, float] = field(default_factory=dict)
    """What the score depends on, shares that sum to 1; empty where the model does not say."""
    distance: float | None = None
    """How far what the camera shows lies from the training videos: above 1 the score may mean nothing. None where that
    is not known."""
    still: bytes | None = field(default=None, repr=False)
    """A picture of it (JPEG)."""
    clip: str = ""
    """File or address of its clip, once there is one."""

    @property
    def key(self) -> str:
        """The same whenever this alert is repeated, so that a receiver knows a repetition."""
        return f"{self.id}-{self.state}"

    @property
    def delay(self) -> float:
        """Seconds from the last frame that was needed to the hand-over."""
        return (self.raised - self.due).total_seconds()

    @property
    def title(self) -> str:
        """In a few words, for people."""
        what = self.kind if self.kind != ANOMALY else self.category or "something abnormal"
        return plain(f"{self.camera}: {what}{' is over' if self.state == 'end' else ''}")

    @property
    def text(self) -> str:
        """In a sentence, by the local clock."""
        local = self.start.astimezone()
        said = [f"since {local:%Y-%m-%d %H:%M:%S}"]
        if self.end is not None:
            said = [f"{local:%Y-%m-%d %H:%M:%S} to {self.end.astimezone():%H:%M:%S}"]
        if self.kind == ANOMALY:
            said.append(f"score {self.score:.2f} (threshold {self.threshold:.2f})")
        if self.category:
            said.append(f"{self.category} {self.categories.get(self.category, 1):.0%}")
        if self.attributions:
            name = max(self.attributions, key=lambda one: self.attributions[one])
            said.append(f"mostly {name} ({self.attributions[name]:.0%})")
        if self.distance is not None and self.distance > 1:
            said.append(f"unlike the training videos ({self.distance:.1f} times the usual distance)")
        return plain(", ".join(said))

    def as_dict(self) -> dict[str, Any]:
        """In plain values, without the picture."""
        record = {
            "version": VERSION,
            "id": self.id,
            "key": self.key,
            "state": self.state,
            "camera": self.camera,
            "kind": self.kind,
            "run": self.run,
            "start": _written(self.start),
            "end": None if self.end is None else _written(self.end),
            "evidence": _written(self.evidence),
            "due": _written(self.due),
            "raised": _written(self.raised),
            "delay": round(self.delay, 3),
            "score": round(float(self.score), 6),
            "threshold": round(float(self.threshold), 6),
            "category": self.category,
            "categories": {name: round(float(p), 6) for name, p in self.categories.items()},
            "attributions": {name: round(float(share), 6) for name, share in self.attributions.items()},
            "distance": None if self.distance is None else round(float(self.distance), 3),
            "clip": self.clip,
        }
        return without_nan(record)

    @classmethod
    def of_dict(cls, record: Any, still: bytes | None = None) -> "Alert":
        """From what `as_dict` gave.

        Raises:
            WsvadError: it is not as this version writes it.
        """
        if said := next(problems(record, _Record), ""):
            raise WsvadError(f"not an alert as this version writes it ({short(said)})")
        known = {each.name: record[each.name] for each in fields(cls) if each.name in record}
        moments = {name: known[name] and _read(known[name]) for name in MOMENTS}
        return cls(**known | moments | {"score": math.nan if known["score"] is None else known["score"]}, still=still)


class _Record(TypedDict):
    id: str
    state: State
    camera: str
    kind: str
    run: str
    start: str
    end: str | None
    evidence: str
    due: str
    raised: str
    score: float | None
    threshold: float
    category: str
    categories: dict[str, float]
    attributions: dict[str, float]
    distance: NotRequired[float | None]
    clip: str


MOMENTS = ("start", "end", "evidence", "due", "raised")


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise WsvadError(f"not an alert as this version writes it ('{short(text)}' is no time)") from None
