"""Apprise against a service on loopback."""

import base64
import logging
import sys

import pytest
from alerts import JPEG, alert, server

from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.notify import Notify, NotifyConfig

pytest.importorskip("apprise", reason="apprise is not installed (the extra 'live')")


def sink_at(received, path=""):
    return Notify(NotifyConfig(url=received.url.replace("http", "json") + path))


def test_a_message_with_a_picture_goes_out_when_an_event_begins_and_none_when_it_ends():
    with server() as received:
        sink_at(received).deliver(alert("e1"))
        sink_at(received).deliver(alert("e1", "end"))
        sink_at(received).deliver(alert("e2", still=None))
    first, second = received.json
    assert (first["title"], first["message"], first["type"]) == ("gate: fighting", alert().text, "warning")
    assert [base64.b64decode(one["base64"]) for one in first["attachments"]] == [JPEG]
    assert [one["filename"] for one in first["attachments"]] == ["still.jpg"] and second["attachments"] == []


def test_what_goes_wrong_is_said_without_the_address(caplog, capfd):
    token = "0123456789abcdef"
    with caplog.at_level(logging.DEBUG), server(lambda *_: (500, {}, b"")) as received:
        with pytest.raises(WsvadError, match="error=500") as raised:
            sink_at(received, f"/{token}").deliver(alert())
        for url in (f"nonsense://host/{token}", f"tgram://{token}"):
            with pytest.raises(UsageError, match="no service of Apprise has an address like this"):
                Notify(NotifyConfig(url=url)).deliver(alert())
    assert token not in caplog.text + str(raised.value) + "".join(capfd.readouterr())


def test_nobody_there():
    with pytest.raises(WsvadError, match="Connection error"):
        Notify(NotifyConfig(url="json://127.0.0.1:1/")).deliver(alert())


def test_what_is_no_address_is_said_at_once():
    with pytest.raises(UsageError, match="url: not an address of Apprise"):
        Notify(NotifyConfig(url="me@example.org"))


def test_where_the_library_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(WsvadError, match=r"apprise is not installed; pip install 'wsvad\[live\]'"):
        Notify(NotifyConfig(url="json://h")).deliver(alert())
