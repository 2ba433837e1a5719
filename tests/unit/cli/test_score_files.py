"""Where the results of `wsvad score` may be written."""

import pytest

from wsvad.cli.score_files import spare
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
