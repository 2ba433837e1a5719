"""When a recording began: names as recorders write them, containers, what people type, and clock changes."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import av
import pytest
from clips import write_clip
from hypothesis import given
from hypothesis import strategies as st

from wsvad.errors import UsageError
from wsvad.video.wall_clock import NamePattern, WallClock, parse_start, parse_zone, tags_of

BERLIN = ZoneInfo("Europe/Berlin")
CLOCK = WallClock(zone=BERLIN)
MORNING = "2024-01-15T09:30:00+01:00"


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("gate_20240115_093000.mp4", MORNING),
        ("ch01_20240115093000.mp4", MORNING),
        ("192.168.1.64_01_20240115093000123.mp4", "2024-01-15T09:30:00.123000+01:00"),
        ("NVR_ch1_main_20240115093000_20240115100000.dav", MORNING),
        ("2024-01-15/001/dav/09/09.30.00-09.40.00[M][0@0][0].dav", MORNING),
        ("Front door_00_20240115093000.mp4", MORNING),
        ("RecM01_20240115_093000_094000_6732828_1234.mp4", MORNING),
        ("20240115_093000_5B2C_ACCC8E000000.mkv", MORNING),
        ("Cam1.20240115_093000.mp4", MORNING),
        ("Front Door - 1-15-2024, 9.30.00 AM.mp4", MORNING),
        ("Front Door - 1-15-2024, 12.30.00 AM.mp4", "2024-01-15T00:30:00+01:00"),
        ("Front Door - 1-15-2024, 12.30.00 PM.mp4", "2024-01-15T12:30:00+01:00"),
        ("Camera-20240115-093000-1705311000.mp4", MORNING),
        ("D1_S20240115093000_E20240115094000.mp4", MORNING),
        ("gate/2024-01-15/09-30-00.mp4", MORNING),
        ("2024/01/15/09-30-00.mp4", MORNING),
        ("video 2024-01-15 at 09.30.00.mp4", MORNING),
        ("2024-01-15T08-30-00Z.mp4", MORNING),
        ("2024-01-15T10:30:00+02:00.mp4", MORNING),
        ("PXL_20240115_083000123.mp4", "2024-01-15T09:30:00.123000+01:00"),
        ("20240115_235960.mp4", "2024-01-15T23:59:59+01:00"),
        ("20200101_000000/gate_20240115_093000.mp4", MORNING),
        ("20240115_093000-4711.mp4", MORNING),
        ("20240115_093000-0001.mp4", MORNING),
        ("20240115_093000+9959.mp4", MORNING),
        ("20240115_093000-2400.mp4", MORNING),
        ("20240115_093000+٠١٠٠.mp4", MORNING),
        ("20240115_093000+0530.mp4", "2024-01-15T05:00:00+01:00"),
    ],
)
def test_the_names_of_recorders_are_read(name: str, moment: str) -> None:
    start = CLOCK.start(name)
    assert start is not None
    assert start.moment == datetime.fromisoformat(moment)
    assert start.moment.utcoffset() == datetime.fromisoformat(moment).utcoffset()
    assert start.origin == "name"


@pytest.mark.parametrize(
    "name",
    [
        "Abuse028_x264.mp4",
        "01_0014.avi",
        "hiv00001.mp4",
        "1705311000.mp4",
        "20240230_093000.mp4",
        "20240115_243000.mp4",
        "20240115.mp4",
        "19700101_000000.mp4",
        "20991231_093000.mp4",
        "v=2iZBv3Zjl0E__#1_label_B1-0-0.mp4",
        "clip 13-45-2024, 9.30.00 AM.mp4",
    ],
)
def test_what_is_no_moment_is_not_read_as_one(name: str) -> None:
    assert CLOCK.start(name) is None


def test_an_earlier_source_comes_before_a_later_one() -> None:
    container = {"creation_time": "2024-01-15T08:45:00.000000Z"}
    named = CLOCK.start("20240115_093000.mp4", container)
    unnamed = CLOCK.start("a.mp4", container)
    typed = WallClock(zone=BERLIN, given=parse_start("2024-01-15 10:00")).start("20240115_093000.mp4", container)
    assert [(one.origin, one.moment.isoformat()) for one in (named, unnamed, typed) if one] == [
        ("name", MORNING),
        ("container", "2024-01-15T09:45:00+01:00"),
        ("given", "2024-01-15T10:00:00+01:00"),
    ]


@pytest.mark.parametrize(
    ("metadata", "moment"),
    [
        (
            {"com.apple.quicktime.creationdate": "2024-01-15T10:30:00+0200", "creation_time": "2024-01-15T08:31:00Z"},
            MORNING,
        ),
        ({"CREATION_TIME": "2024-01-15T08:30:00Z"}, MORNING),
        ({"date": "2024-01-15"}, None),
        ({"date": "2024"}, None),
        ({"creation_time": "1904-01-01T00:00:00Z"}, None),
        ({"creation_time": "not a date, but long"}, None),
        ({"creation_time": "9999-12-31T23:59:59Z"}, None),
        ({}, None),
    ],
)
def test_containers_say_when(metadata: dict[str, str], moment: str | None) -> None:
    start = CLOCK.start("a.mp4", metadata)
    assert (start and start.moment) == (moment and datetime.fromisoformat(moment))


@pytest.mark.parametrize(
    ("pattern", "name", "moment", "camera"),
    [
        ("{camera}_{date}_{time}", "yard/north_gate_2024-01-15_09-30.mp4", "2024-01-15T09:30:00", "north_gate"),
        ("{camera}/{date}/{*}-{time}", "x/gate/2024-01-15/rec-09.30.00.mp4", "2024-01-15T09:30:00", "gate"),
        ("{day}.{month}.{year} {hour}h{minute}", "15.1.2024 9h30.avi", "2024-01-15T09:30:00", ""),
        ("{camera}-{epoch}", "gate-1705307400.mp4", "2024-01-15T08:30:00+00:00", "gate"),
        ("{camera}-{epoch}", "gate-1705307400250.mp4", "2024-01-15T08:30:00.250000+00:00", "gate"),
        ("{camera} ({date}) {time}", "gate (20240115) 093000.mp4", "2024-01-15T09:30:00", "gate"),
    ],
)
def test_a_pattern_of_names_is_read(pattern: str, name: str, moment: str, camera: str) -> None:
    assert NamePattern(pattern).read(name) == (datetime.fromisoformat(moment), camera)


def test_a_name_that_does_not_fit_the_pattern_has_no_moment_of_its_own() -> None:
    clock = WallClock(zone=BERLIN, pattern=NamePattern("{camera}_{date}_{time}"))
    assert clock.start("20240115-093000.mp4") is None
    start = clock.start("gate_20240115_093000.mp4")
    assert start is not None and start.camera == "gate"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{camera}", "needs {date} and {time}"),
        ("{date}", "needs {date} and {time}"),
        ("{camera}_{when}", "{when} is not known"),
        ("{date}_{date}_{time}", "names something twice"),
        ("((", "needs {date} and {time}"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(UsageError, match="--name-pattern") as caught:
        NamePattern(pattern)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01 00:00", "", "0001-01-01T00:00:00+23:59", "1970-01-01 00:00"])
def test_a_start_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        parse_start(text)


def test_a_start_in_the_future_is_refused() -> None:
    with pytest.raises(UsageError, match="in the future"):
        parse_start((datetime.now(UTC) + timedelta(days=400)).isoformat())


@pytest.mark.parametrize("text", ["Mars/Olympus", "../../etc/passwd", "", "/etc/passwd"])
def test_a_time_zone_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--time-zone"):
        parse_zone(text)


def test_clock_changes_are_right() -> None:
    # On 2024-10-27 the hour from two to three came twice in Berlin; on 2024-03-31 there was none.
    autumn, spring = CLOCK.start("20241027_013000.mp4"), CLOCK.start("20240331_013000.mp4")
    assert autumn is not None and spring is not None
    assert [autumn.at(hours * 3600).isoformat()[11:] for hours in range(4)] == [
        "01:30:00+02:00",
        "02:30:00+02:00",
        "02:30:00+01:00",
        "03:30:00+01:00",
    ]
    assert [spring.at(hours * 3600).isoformat()[11:] for hours in range(3)] == [
        "01:30:00+01:00",
        "03:30:00+02:00",
        "04:30:00+02:00",
    ]
    left_out = CLOCK.start("20240331_023000.mp4")
    assert left_out is not None and left_out.moment.isoformat() == "2024-03-31T03:30:00+02:00"


def test_this_computers_own_time_zone_changes_its_clocks_too(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        start = WallClock().start("20241027_013000.mp4")
        assert start is not None
        assert [start.words(hours * 3600) for hours in range(3)] == [
            "Sun 2024-10-27 01:30:00 CEST",
            "Sun 2024-10-27 02:30:00 CEST",
            "Sun 2024-10-27 02:30:00 CET",
        ]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_containers_are_asked_without_decoding(tmp_path) -> None:
    write_clip(tmp_path / "a.mp4", 3)
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(tmp_path / "b.mov"), "w") as target:
        target.metadata["creation_time"] = "2024-01-15T08:30:00.000000Z"
        target.metadata["title"] = "gate"
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert tags_of(tmp_path / "a.mp4") == {}
    assert tags_of(tmp_path / "b.mov") == {"creation_time": "2024-01-15T08:30:00.000000Z"}
    start = CLOCK.start("b.mov", tags_of(tmp_path / "b.mov"))
    assert start is not None and start.moment.isoformat() == MORNING


@given(
    moment=st.datetimes(min_value=datetime(1981, 1, 1), max_value=datetime(2025, 12, 31)),
    form=st.sampled_from(
        ["cam_%Y%m%d_%H%M%S.mp4", "%Y-%m-%dT%H-%M-%S.mkv", "a/%Y/%m/%d/%H.%M.%S.avi", "x%Y%m%d%H%M%S"]
    ),
)
def test_a_moment_that_is_written_is_read(moment: datetime, form: str) -> None:
    start = WallClock(zone=ZoneInfo("UTC")).start(moment.strftime(form))
    assert start is not None
    assert start.moment.replace(tzinfo=None) == moment.replace(microsecond=0)


@given(
    name=st.text(st.characters(codec="utf-8"), max_size=60)
    | st.from_regex(r"[\d_./:\-TZ+]{8,40}")
    | st.from_regex(r"20240115_093000[+-]\d\d:?\d\d\.mp4", fullmatch=True)
)
def test_no_name_stops_it(name: str) -> None:
    start = CLOCK.start(name)
    assert start is None or start.moment.tzinfo is not None
