"""Its being here lets tests import the helpers beside it (`clips`)."""
