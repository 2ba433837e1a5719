"""Its being here lets tests import the helpers beside it (`clips`); cameras that tests and the demo share are put in
reach."""

import sys

from hypothesis import settings
from places import ROOT

sys.path.append(str(ROOT / "examples" / "cameras"))

settings.register_profile("wsvad", deadline=None)  # a busy machine makes no test fail
settings.load_profile("wsvad")
