"""A simulated camera: surveillance videos with exact truth, for the demo, for tests and for trying out methods.

One page each: `camera` (pinhole), `scene` (where), `backdrop` (what never moves), `people`, `traffic`, `props` (who and
what moves), `stage` (place and time), `life` (normal behaviour), `events` (abnormal behaviour), `story` (one video),
`render` (pictures and their truth), `captions` and `streams` (the truth by snippet), `make` (the data set).
"""

from wsvad.datasets.toy.events import EVENTS
from wsvad.datasets.toy.make import make_toy

__all__ = ["EVENTS", "make_toy"]
