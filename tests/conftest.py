"""Its being here lets tests import the helpers beside it (`clips`); cameras that tests and the demo share are put in
reach."""

import sys

import pytest
from hypothesis import settings
from places import ROOT

sys.path.append(str(ROOT / "examples" / "cameras"))

settings.register_profile("wsvad", deadline=None)  # a busy machine makes no test fail
settings.load_profile("wsvad")


@pytest.fixture(autouse=True)
def studies_in_this_process(monkeypatch):
    """A study begins no processes unless a test asks for some: each takes seconds to import torch."""
    monkeypatch.setattr("wsvad.studies.cells.usual_workers", lambda device: 0)
