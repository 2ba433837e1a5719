"""What holds for every registered sink, ours or of another package."""

import dataclasses
import importlib
from pathlib import Path

import pytest

from wsvad.errors import UsageError
from wsvad.ranges import hints_of
from wsvad.sinks import SINKS
from wsvad.sinks.sink import make

SMALL = {
    "jsonl": {"path": "alerts.jsonl"},
    "webhook": {"url": "http://127.0.0.1:1/"},
    "mqtt": {"url": "mqtt://127.0.0.1:1"},
    "frigate": {"url": "http://127.0.0.1:1"},
    "apprise": {"url": "json://127.0.0.1:1"},
}
"""Settings by which each can be made; a sink without a line here is made with its defaults."""

every_sink = pytest.mark.parametrize("name", list(SINKS))


@pytest.fixture
def settings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fields = dataclasses.fields(SINKS[name].config_class)
    return SMALL.get(name, {each.name: "out" for each in fields if each.default is dataclasses.MISSING})


@every_sink
def test_its_settings_are_a_frozen_dataclass_whose_fields_are_explained(name):
    config_class = SINKS[name].config_class
    assert dataclasses.is_dataclass(config_class) and config_class.__dataclass_params__.frozen
    text = Path(importlib.import_module(config_class.__module__).__file__).read_text(encoding="utf-8")
    for field in dataclasses.fields(config_class):
        after = text[text.index(f"\n    {field.name}: ") :].split("\n")[2]
        assert after.startswith('    """'), f"{field.name} has no docstring"


@every_sink
def test_it_is_made_of_plain_settings_before_anything_is_there(name, settings):
    """Nothing is connected or written until there is something to deliver."""
    sink = make("mine", {"type": name} | settings)
    assert isinstance(sink, SINKS[name])
    assert list(Path.cwd().iterdir()) == []


@every_sink
def test_unknown_settings_are_named_with_the_nearest_and_missing_or_odd_ones_refused(name, settings):
    fields = dataclasses.fields(SINKS[name].config_class)
    known = fields[0].name
    with pytest.raises(UsageError, match=rf"sink 'mine': '{known}x' is not known; did you mean {known}\?"):
        make("mine", {"type": name, f"{known}x": 1} | settings)
    for field in fields:
        with pytest.raises(UsageError, match=rf"^sink 'mine': '?{field.name}"):
            make("mine", {"type": name} | settings | {field.name: object})
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            with pytest.raises(UsageError, match=f"'{field.name}' is missing"):
                make("mine", {"type": name} | {key: value for key, value in settings.items() if key != field.name})


@every_sink
def test_secrets_are_looked_up_at_use(name, settings):
    """A setting of text may name a variable that is not set yet."""
    hints = hints_of(SINKS[name].config_class)
    for field in ("password", "secret", "token", "user"):
        if field in hints:
            make("mine", {"type": name} | settings | {field: "${WSVAD_TEST_NOT_SET}"})


def test_a_secret_that_is_written_out_is_never_shown():
    with pytest.raises(UsageError, match=r"^sink 'mine': password is \*\*\* instead of text$"):
        make("mine", {"type": "mqtt", "url": "mqtt://h", "password": 123456})


@pytest.mark.parametrize("given", [None, [], "webhook", {}, {"type": 5}])
def test_a_sink_without_a_type_is_refused(given):
    with pytest.raises(UsageError, match=r"sink 'mine': 'type' is missing; choose one of: apprise, frigate, jsonl, "):
        make("mine", given)


def test_a_type_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match="no sink is called 'pigeon'; choose one of: apprise, frigate, jsonl, "):
        make("mine", {"type": "pigeon"})
