"""Where the results of `wsvad score` may be written."""

import logging
from pathlib import Path

import pytest

from wsvad.cli.score_files import check_names
from wsvad.cli.score_outputs import Outputs, clock_of, spare, too_long
from wsvad.errors import UsageError, WsvadError
from wsvad.files import check_writable


@pytest.mark.parametrize("sign", ["model.json", "config.yaml"])
def test_the_report_of_a_run_is_not_written_over(sign, tmp_path):
    (tmp_path / sign).write_text("")
    with pytest.raises(UsageError, match="a run is there"):
        spare(tmp_path, [], [])


def test_a_video_that_is_scored_is_not_written_over(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    videos = [tmp_path / "cam0.mp4", tmp_path / "cam0.overlay.mp4"]
    with pytest.raises(UsageError, match="overlay would be written over it"):
        spare(tmp_path / "link", [tmp_path / "link" / "cam0.overlay.mp4"], videos)
    spare(tmp_path / "scores", [tmp_path / "scores" / "cam0.overlay.mp4"], videos)


def test_where_nothing_can_be_written_is_found_out_before_scoring_and_nothing_is_made(tmp_path):
    (tmp_path / "cam0.mp4").write_bytes(b"video")
    with pytest.raises(WsvadError, match="Not a directory"):
        check_writable(tmp_path / "cam0.mp4")
    check_writable(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["cam0.mp4"]


PATTERN = "{camera}_{date}_{time}"


def named(*names: str) -> dict[str, Path]:
    return {name: Path("in") / name for name in names}


def test_a_pattern_that_fits_some_names_says_which_it_does_not_fit(caplog):
    caplog.set_level(logging.WARNING)
    others = [f"other-{n}.mp4" for n in range(5)]
    check_names(named("gate_2024-01-15_09-30.mp4", "gate_2099-01-15_09-30.mp4", *others), clock_of(None, PATTERN, None))
    assert caplog.messages == [
        f"--name-pattern {PATTERN}: fits 2 of 7 names, not other-0.mp4, other-1.mp4, other-2.mp4 and 2 more",
        f"--name-pattern {PATTERN}: gives a start in the future, or before 1980, for gate_2099-01-15_09-30.mp4",
    ]
    caplog.clear()
    check_names(named("a_2024-01-15_09-30.mp4"), clock_of(None, PATTERN, None))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("start", "pattern", "says"),
    [
        ("2024-01-15 09:30", None, "--start: is for one video, not for 2; use --name-pattern"),
        (None, PATTERN, r"--name-pattern \{camera\}_\{date\}_\{time\}: fits none of 2 names, such as 'a.mp4'"),
    ],
)
def test_a_start_for_several_videos_and_a_pattern_that_fits_none_are_refused(start, pattern, says):
    with pytest.raises(UsageError, match=says):
        check_names(named("a.mp4", "b.mp4"), clock_of(start, pattern, None))
    with pytest.raises(UsageError, match="give one of them"):
        clock_of("2024-01-15 09:30", PATTERN, None)


def test_a_name_that_is_too_long_for_any_of_the_files_is_found_before_work():
    long = named("n" * 230 + ".mp4", "a.mp4")
    assert not too_long(Path("out"), long, Outputs())
    outputs = Outputs(clips=5.0, formats=["srt"])
    assert list(too_long(Path("out"), long, outputs).values()) == [
        f"in/{'n' * 230}.mp4: its clips would need a file name of 260 bytes (at most 255); shorten the video's name"
    ]
    long = named("n" * 250 + ".mp4")
    assert "its srt would need" in next(iter(too_long(Path("out"), long, Outputs(formats=["srt"])).values()))


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageError, match="--format xls: there are csv, json, srt, vtt, edl, ics"):
        Outputs(formats=["csv", "xls"])
