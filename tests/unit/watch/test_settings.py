"""cameras.yaml: what is wrong is one line that names the place and the remedy."""

import re
from pathlib import Path

import pytest

from wsvad.errors import UsageError, WsvadError
from wsvad.watch.settings import read_site, site_of

GOOD = """
model: run
cameras:
  gate: {source: "rtsp://viewer:${GATE_PASSWORD}@10.0.0.5/1", alert: {between: "22:00-06:00", days: mon-fri}}
  yard: {source: film.mp4, model: other, threshold: 0.8, rate: 10, transport: udp, ignore: [[[0, 0], [1, 0], [1, 0.5]]]}
sinks:
  log: {type: jsonl, path: alerts.jsonl}
clips: {days: 7}
"""


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("GATE_PASSWORD", "tops3cret")


def write(folder: Path, text: str) -> Path:
    (folder / "film.mp4").touch()
    (folder / "cameras.yaml").write_text(text)
    return folder / "cameras.yaml"


def test_a_site_is_read(tmp_path):
    site = read_site(write(tmp_path, GOOD))
    assert site.models == {"gate": tmp_path / "run", "yard": tmp_path / "other"}
    assert site.source("gate").address == "rtsp://viewer:tops3cret@10.0.0.5/1"
    assert (site.source("yard").address, site.source("yard").transport) == (str(tmp_path / "film.mp4"), "udp")
    assert site.cameras["yard"].zones == (((0, 0), (1, 0), (1, 0.5)),)
    assert str(site.hours("gate")) == "22:00–06:00 on mon, tue, wed, thu, fri" and site.hours("yard") is None
    assert (site.clips.days, site.clips.before, list(site.sinks), site.health.port) == (7, 5, ["log"], 9470)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("source: film", "sorce: film"), "cameras.yard: 'sorce' is not known; did you mean source?"),
        (("threshold", "treshold"), "did you mean threshold?"),
        (("between", "betwen"), "cameras.gate.alert: 'betwen' is not known; did you mean between?"),
        (("clips:", "clip:"), "'clip' is not known; did you mean clips?"),
        (("days: 7", "day: 7"), "clips: 'day' is not known; did you mean days?"),
        (("path:", "pth:"), "sink 'log': 'pth' is not known; did you mean path?"),
        (("  yard:", "  gate:"), "line 5: 'gate' is there a second time"),
        (("  yard:", "  GATE:"), "cameras 'gate' and 'GATE' would have the same file names"),
        (("  yard:", "  '/..':"), "cameras./..: a camera needs a name with letters or digits"),
        (("10.0.0.5", ""), "cameras.gate: rtsp://viewer:***@/1: has no host"),
        (("rtsp://", "rtps://"), "cameras.gate: rtps://viewer:***@10.0.0.5/1: rtps:// is not known here"),
        (("film.mp4", "gone.mp4"), "cameras.yard: gone.mp4: there is no such video file"),
        (("0.8", "high"), "cameras.yard.threshold is 'high' instead of a number"),
        (("0.8", "1.8"), "cameras.yard.threshold is 1.8 instead of above 0 to 1"),
        (("rate: 10", "rate: -1"), "cameras.yard.rate is -1 instead of above 0"),
        (("udp", "tls"), "cameras.yard.transport is 'tls' instead of tcp or udp"),
        (("[1, 0.5]", "[1, 5]"), "cameras.yard.ignore.0.2.1 is 5 instead of from 0 to 1"),
        ((", [1, 0.5]", ""), "cameras.yard.ignore: a zone of 2 corners"),
        (("[[[0, 0], [1, 0], [1, 0.5]]]", "all"), "cameras.yard.ignore is 'all' instead of a list"),
        (("22:00-06:00", "25:00-06:00"), "cameras.gate: alert: between 25:00-06:00: not two times of day"),
        (("mon-fri", "mon-fry"), "cameras.gate: alert: days mon-fry: 'mon-fry' is no day"),
        (("model: run", ""), "cameras.gate: 'model' is missing"),
        (("model: run", "model: [run]"), "model is ['run'] instead of the path of a run folder"),
        (("source: film.mp4, ", ""), "cameras.yard: 'source' is missing"),
        (("days: 7", "days: 0"), "clips.days is 0 instead of above 0"),
        (("jsonl,", "josnl,"), "josnl"),
        (("GATE_PASSWORD", "NO_SUCH_NAME"), "camera 'gate': the environment variable NO_SUCH_NAME is not set"),
        (("{source: film.mp4", "[source: film.mp4"), "not valid YAML"),
        (("  gate: {", "  gate: 5 # {"), "cameras.gate is 5 instead of a mapping (a camera is"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path, change, says):
    assert change[0] in GOOD
    with pytest.raises(WsvadError) as caught:
        read_site(write(tmp_path, GOOD.replace(change[0], change[1], 1)))
    said = str(caught.value)
    assert says in said and "\n" not in said and "tops3cret" not in said
    assert said.startswith(str(tmp_path / "cameras.yaml"))


@pytest.mark.parametrize("text", ["", "cameras: {}", "cameras: []", "5", "cameras:\n  a:\n", "\x00", "a: &a [*a]"])
def test_no_site_at_all(tmp_path, text):
    with pytest.raises(WsvadError, match=re.escape("cameras.yaml")):
        read_site(write(tmp_path, text))


def test_words_of_the_command_line(tmp_path):
    write(tmp_path, GOOD)
    film = str(tmp_path / "film.mp4")
    assert list(site_of(["run", film]).cameras) == ["camera"]
    assert list(site_of(["run", film, film]).cameras) == ["camera 1", "camera 2"]
    with pytest.raises(UsageError, match="a SOURCE is missing"):
        site_of(["run"])
    with pytest.raises(UsageError, match="names its sources itself"):
        site_of([str(tmp_path / "cameras.yaml"), film])
    with pytest.raises(UsageError, match="camera 'camera': rtsp:///1: has no host"):
        site_of(["run", "rtsp:///1"])
