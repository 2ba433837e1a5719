"""What `watch --check` says of a camera beside its table."""

from dataclasses import dataclass, field, fields
from types import SimpleNamespace

import pytest

from wsvad.video.live import Health
from wsvad.watch.check import _notes

NOTHING = dict.fromkeys((one.name for one in fields(Health)), 0) | {"said": "", "key_seconds": None, "drift": None}


@dataclass
class Model:
    """A model that says nothing of the rate at which it was trained."""

    detector: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(trained=SimpleNamespace(filmed_at=None, rate=None))
    )


@pytest.mark.parametrize(
    ("codec", "named"), [("h264", ""), ("mjpeg", ""), ("hevc", "H.265"), ("av1", "AV1"), (None, "")]
)
def test_clips_that_some_browsers_do_not_play_are_named(codec, named):
    notes = _notes(Health(**NOTHING | {"codec": codec}), Model(), None, 30)
    assert [one for one in notes if "browsers" in one] == notes
    assert len(notes) == bool(named) and all(named in one and "set the camera to H.264" in one for one in notes)
