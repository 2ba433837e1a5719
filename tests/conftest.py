"""Its being here lets tests import the helpers beside it (`clips`)."""

from hypothesis import settings

settings.register_profile("wsvad", deadline=None)  # a busy machine makes no test fail
settings.load_profile("wsvad")
