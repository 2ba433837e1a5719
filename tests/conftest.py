"""Its being here lets tests import the helpers beside it (`clips`); cameras that tests and the demo share are put in
reach."""

import os
import sys

import pytest
from hypothesis import settings
from places import ROOT

from wsvad.extraction.workers import Local

sys.path.append(str(ROOT / "examples" / "cameras"))

settings.register_profile("wsvad", deadline=None)  # a busy machine makes no test fail
settings.load_profile("wsvad")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Studies and extractions begin no processes unless a test asks for some: each takes seconds to import torch."""
    monkeypatch.setattr("wsvad.studies.cells.usual_workers", lambda device: 0)
    make = Local.__init__
    monkeypatch.setattr(Local, "__init__", lambda self, workers=None, device="cpu": make(self, workers or 0, device))


@pytest.fixture(autouse=True)
def no_more_than_others():
    """SVT-AV1, as root, gives the thread that encodes real-time priority and leaves it: from then on the other workers,
    and the servers that tests talk to, would have what this one leaves over."""
    yield
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
