"""Values of the environment are used, and never shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsvad import environment
from wsvad.environment import expand, hidden, hide
from wsvad.errors import WsvadError


@pytest.fixture(autouse=True)
def nothing_hidden_yet(monkeypatch):
    monkeypatch.setattr(environment, "_hidden", {})


def test_a_value_stands_for_its_name_and_its_name_for_the_value(monkeypatch):
    monkeypatch.setenv("GATE_PASSWORD", "s3 cr/et")
    assert expand("rtsp://me:${GATE_PASSWORD}@gate/1", "gate") == "rtsp://me:s3 cr/et@gate/1"
    assert hidden("login s3 cr/et failed, also s3%20cr%2Fet") == (
        "login ${GATE_PASSWORD} failed, also ${GATE_PASSWORD}"
    )
    assert expand("$GATE_PASSWORD ${} $5 {GATE_PASSWORD}", "x") == "$GATE_PASSWORD ${} $5 {GATE_PASSWORD}"


def test_the_end_of_a_line_is_no_part_of_a_value(monkeypatch):
    monkeypatch.setenv("GATE_PASSWORD", "secret\n")
    assert expand("${GATE_PASSWORD}", "x") == "secret"


@pytest.mark.parametrize("value", [None, "", "\n"])
def test_a_variable_that_is_not_set_is_named_with_the_setting(monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("GATE_PASSWORD", value)
    with pytest.raises(WsvadError, match=r"^password: the environment variable GATE_PASSWORD is not set; set it"):
        expand("${GATE_PASSWORD}", "password")


def test_logins_in_addresses_are_never_shown():
    assert hidden("http://me:pass@word@cam:80/a and mqtt://u@b") == "http://me:***@cam:80/a and mqtt://u@b"
    assert hidden("mail to me@example.org, see http://cam/a@b") == "mail to me@example.org, see http://cam/a@b"


def test_a_short_value_is_hidden_where_it_stands_alone():
    hide("ab", "${PIN}")
    assert hidden("ab: cabin ab-1 'ab'") == "${PIN}: cabin ${PIN}-1 '${PIN}'"


@settings(max_examples=50)
@given(st.lists(st.text(min_size=4, max_size=12), min_size=1, max_size=4), st.text(max_size=20))
def test_no_secret_is_left_whole(secrets, around):
    environment._hidden.clear()
    for secret in secrets:
        hide(secret, "•")
    shown = hidden(around.join([*secrets, ""]))
    assert not any(secret in shown for secret in secrets if "•" not in secret)
