"""A file of alerts: a line is whole or not there."""

import json
import resource
import signal

import pytest
from alerts import alert

from wsvad.errors import WsvadError
from wsvad.sinks.jsonl import JsonLines, JsonLinesConfig


def lines(path):
    return [json.loads(line)["key"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "alerts.jsonl"


@pytest.fixture
def sink(path):
    return JsonLines(JsonLinesConfig(path=str(path)))


def test_each_alert_is_a_line(path, sink):
    sink.deliver(alert("e1", camera="Tor \udcff 門"))
    sink.deliver(alert("e1", "end"))
    assert lines(path) == ["e1-start", "e1-end"]
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1]) == alert("e1", "end").as_dict()


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_what_a_kill_left_of_a_line_goes_before_the_next(path, sink, cut):
    sink.deliver(alert("e1"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:cut])
    sink.deliver(alert("e2"))
    assert lines(path) == ["e1-start", "e2-start"]


def test_a_line_that_only_lacks_its_end_stays(path, sink):
    sink.deliver(alert("e1"))
    path.write_bytes(path.read_bytes()[:-1])
    sink.deliver(alert("e2"))
    assert lines(path) == ["e1-start", "e2-start"]


def test_a_long_text_of_somebody_else_is_not_cut(path, sink):
    path.parent.mkdir()
    path.write_bytes(b"x" * (3 << 20))
    sink.deliver(alert("e1"))
    assert path.read_bytes().startswith(b"x" * (3 << 20) + b'\n{"version"')


def test_where_the_disk_is_full_nothing_is_left_of_it(path, sink):
    sink.deliver(alert("e1"))
    before, whole = resource.getrlimit(resource.RLIMIT_FSIZE), path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 100, before[1]))
    try:
        with pytest.raises(WsvadError, match=r"alerts.jsonl: a file as large as this may not be written here"):
            sink.deliver(alert("e2"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == whole
    sink.deliver(alert("e2"))
    assert lines(path) == ["e1-start", "e2-start"]


def test_a_file_that_was_moved_away_is_made_again(path, sink):
    sink.deliver(alert("e1"))
    path.rename(path.with_suffix(".1"))
    sink.deliver(alert("e2"))
    assert lines(path) == ["e2-start"]


def test_a_disk_that_is_always_full(tmp_path):
    with pytest.raises(WsvadError, match="/dev/full: the disk is full; free some space"):
        JsonLines(JsonLinesConfig(path="/dev/full")).deliver(alert())


def test_a_folder_in_its_place_is_one_line(path, sink):
    path.mkdir(parents=True)
    with pytest.raises(WsvadError, match=r"alerts.jsonl: Is a directory"):
        sink.deliver(alert())
