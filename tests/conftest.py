"""Its being here lets tests import the helpers beside it (`clips`); cameras that tests and the demo share are put in
reach."""

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
