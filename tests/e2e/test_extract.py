"""The queue: killed, crashed, interrupted, run twice at once, on files that changed. The files are what counts."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from wsvad.errors import SHORT, WsvadError
from wsvad.extraction.extract import extract
from wsvad.extraction.jobs import Advanced, Begun, Finished, Job
from wsvad.extraction.progress import Estimate
from wsvad.features.store import load

BUILDER = "clips:build"


@pytest.fixture
def videos(tmp_path):
    """Six videos, one of them in a folder of its own, of 5 to 29 frames."""
    (tmp_path / "videos" / "yard").mkdir(parents=True)
    names = ["a.mp4", "b.mp4", "c d.mp4", "yard/a.mp4", "yard/ä.mp4", "z.mp4"]
    return [(name, write_clip(tmp_path / "videos" / name, 5 + 4 * i + 4 * (i == 5))) for i, name in enumerate(names)]


def run(videos, out, spec="means", *, workers=0, **streams):
    streams = streams or {"rgb": spec}
    with messages() as said:
        report = extract(videos, streams, out, workers=workers, builder=BUILDER)
    return report, "\n".join(said)


@contextmanager
def messages():
    """What the library logs in the block."""
    said, log = [], logging.getLogger("wsvad")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    log.addHandler(handler)
    before, _ = log.level, log.setLevel(logging.INFO)
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def undisturbed(videos, tmp_path):
    """The files of one run that nothing happened to."""
    run(videos, tmp_path / "undisturbed", rgb="means", flow="means:4+means")
    return files(tmp_path / "undisturbed")


def test_processes_and_this_process_write_the_same_files(videos, undisturbed, tmp_path):
    out = tmp_path / "out"
    report, said = run(videos, out, workers=2, rgb="means", flow="means:4+means")
    assert files(out) == undisturbed
    assert len(undisturbed) == 12
    assert (report.done, report.reused, report.failed) == (6, 0, {})
    assert report.frames == 5 + 9 + 13 + 17 + 21 + 29
    assert said == ""
    stored = load(out / "flow" / "yard" / "a.mp4.safetensors")
    assert stored.features.shape == (2, 6)
    assert stored.passport.frames == 17


def test_a_second_run_touches_nothing(videos, tmp_path):
    out = tmp_path / "out"
    run(videos, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    report, _ = run(videos, out, workers=2)
    assert (report.done, report.reused, report.frames) == (0, 6, 0)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}


def test_only_the_missing_stream_and_video_are_made(videos, undisturbed, tmp_path):
    out = tmp_path / "out"
    run(videos[:4], out, rgb="means")
    kept = (out / "rgb" / "a.mp4.safetensors").stat().st_mtime_ns
    report, _ = run(videos, out, rgb="means", flow="means:4+means")
    assert (report.done, report.reused) == (6, 0)
    assert (out / "rgb" / "a.mp4.safetensors").stat().st_mtime_ns == kept
    assert files(out) == undisturbed


def test_a_name_that_is_too_long_for_its_features_costs_one_video(videos, tmp_path):
    """243 bytes leave room for `.safetensors`."""
    longest, longer = (write_clip(tmp_path / "videos" / f"{'n' * count}.mp4", 5) for count in (239, 240))
    report, said = run([*videos, (longest.name, longest), (longer.name, longer)], tmp_path / "out")
    assert (report.done, list(report.failed)) == (len(videos) + 1, [longer.name])
    assert report.failed[longer.name] == (
        f"{longer}: its features would need a file name of 256 bytes (at most 255); shorten the video's name"
    )
    assert report.failed[longer.name] in said
    assert (tmp_path / "out" / "rgb" / f"{longest.name}.safetensors").is_file()


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_videos_are_reported_and_the_others_done(videos, tmp_path, workers):
    (tmp_path / "empty.mp4").write_bytes(b"")
    bad = [("bad.mp4", tmp_path / "empty.mp4"), ("gone.mp4", tmp_path / "gone.mp4")]
    report, said = run([bad[0], *videos, bad[1]], tmp_path / "out", workers=workers)
    assert report.done == 6
    assert set(report.failed) == {"bad.mp4", "gone.mp4"}
    assert "empty (0 bytes)" in report.failed["bad.mp4"]
    assert "there is no such video file" in report.failed["gone.mp4"]
    assert said.count("empty.mp4: ") == said.count("gone.mp4: ") == 1
    again, _ = run([bad[0], *videos, bad[1]], tmp_path / "out", workers=workers)
    assert (again.done, again.reused, set(again.failed)) == (0, 6, {"bad.mp4", "gone.mp4"})


def test_a_crash_costs_one_video(videos, tmp_path):
    hostile = ("hostile.mp4", write_clip(tmp_path / "hostile.mp4", 1, first=29))
    report, said = run([*videos[:3], hostile, *videos[3:]], tmp_path / "out", "means-crash", workers=2)
    assert report.done == 6
    assert list(report.failed) == ["hostile.mp4"]
    assert "SIGSEGV" in report.failed["hostile.mp4"]
    assert str(hostile[1]) in said
    assert len(files(tmp_path / "out")) == 6


def test_a_process_that_was_killed_once_costs_nothing(videos, tmp_path):
    (tmp_path / "once").touch()
    hostile = ("hostile.mp4", write_clip(tmp_path / "hostile.mp4", 1, first=29))
    report, said = run(
        [*videos[:3], hostile, *videos[3:]], tmp_path / "out", f"means-once={tmp_path / 'once'}", workers=2
    )
    assert (report.done, report.failed) == (7, {})
    assert "was killed by SIGKILL" in said and "tried once more" in said


def test_a_bug_in_an_encoder_costs_one_video_and_one_line(videos, tmp_path):
    odd = ("odd.mp4", write_clip(tmp_path / "odd.mp4", 1, first=29))
    report, _ = run([odd, *videos], tmp_path / "out", "means-bug")
    assert report.done == 6
    assert report.failed["odd.mp4"].startswith(f"{odd[1]}: IndexError: list index out of range")


SCRIPT = """
import sys
from pathlib import Path
from wsvad.errors import SHORT, WsvadError
from wsvad.extraction.extract import extract

if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    videos = [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*.mp4"))]
    try:
        report = extract(videos, {"rgb": "means-slow"}, out, workers=2, builder="clips:build")
    except WsvadError as error:
        sys.exit(f"error: {error}")
    print(report.done, report.reused)
"""


def start(videos, tmp_path) -> subprocess.Popen:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, str(script), str(tmp_path / "videos"), str(tmp_path / "out")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_files(out: Path, count: int) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = len(list(out.rglob("[!.]*.safetensors")))
        if found >= count:
            return found
        time.sleep(0.02)
    raise AssertionError("the extraction does not get on")


@pytest.mark.parametrize("workers", [0, 2])
def test_too_little_memory_for_a_network_is_not_told_as_damage(videos, tmp_path, workers):
    odd = ("odd.mp4", write_clip(tmp_path / "odd.mp4", 1, first=29))
    report, _ = run([odd, *videos], tmp_path / "out", "means-short", workers=workers)
    assert report.failed == {"odd.mp4": f"{odd[1]}: {SHORT['memory']}"}


def test_killed_twice_and_run_again_the_files_are_those_of_an_undisturbed_run(videos, tmp_path):
    run(videos, tmp_path / "undisturbed", "means-slow")
    out = tmp_path / "out"
    kept: dict[str, int] = {}
    for count in (1, 3):
        process = start(videos, tmp_path)
        wait_for_files(out, count)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        for name, stamp in kept.items():
            assert (out / "rgb" / name).stat().st_mtime_ns == stamp  # nothing is done twice
        kept |= {path.name: path.stat().st_mtime_ns for path in (out / "rgb").glob("[!.]*.safetensors")}
    (out / "rgb" / ".0123abcd.a.mp4.safetensors").write_bytes(b"half")
    process = start(videos, tmp_path)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    done, reused = map(int, printed.split())
    assert done + reused == 6 and reused >= 3
    assert files(out) == files(tmp_path / "undisturbed")


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(videos, tmp_path):
    process = start(videos, tmp_path)
    wait_for_files(tmp_path / "out", 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the extraction ended before the signal came")
    assert process.returncode == 1
    assert "of 6 videos are finished and kept" in errors
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert all(not name.startswith("rgb/.") for name in files(tmp_path / "out"))


def test_features_made_in_another_way_are_refused_before_any_work(videos, tmp_path):
    run(videos[5:], tmp_path / "out", "means:4")
    before = files(tmp_path / "out")
    with pytest.raises(
        WsvadError,
        match=r"z\.mp4\.safetensors: made with other settings than .*\(width: 4 against 2\); choose another folder",
    ):
        run(videos, tmp_path / "out", "means")
    assert files(tmp_path / "out") == before


def test_a_video_that_changed_is_extracted_again(videos, tmp_path):
    out = tmp_path / "out"
    run(videos, out)
    write_clip(videos[0][1], 29)
    report, said = run(videos, out)
    assert (report.done, report.reused, report.frames) == (1, 5, 29)
    assert f"{videos[0][1]}: has changed since" in said
    assert load(out / "rgb" / "a.mp4.safetensors").passport.frames == 29


def test_temporary_files_of_the_dead_are_removed_and_nothing_else(videos, tmp_path):
    out = tmp_path / "out"
    for name in (
        "rgb/.0a1b2c3d.a.mp4.safetensors",
        "rgb/yard/.deadbeef.a.mp4.safetensors",
        "flow/.00000000.x.safetensors",
    ):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(b"half")
    (out / "rgb" / ".notes").write_text("mine")
    run(videos[:1], out)
    assert set(files(out)) == {"rgb/a.mp4.safetensors", "rgb/.notes", "flow/.00000000.x.safetensors"}


def test_a_folder_takes_one_extraction_at_a_time(videos, tmp_path):
    (tmp_path / "out").mkdir()
    folder = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(WsvadError, match="another command is writing to this folder"):
        run(videos, tmp_path / "out")
    os.close(folder)
    assert run(videos, tmp_path / "out")[0].done == 6


def test_a_full_disk_stops_the_run_with_one_line(videos, tmp_path, monkeypatch):
    run(videos[:2], tmp_path / "out")

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(WsvadError, match="the disk is full"):
            run(videos, tmp_path / "out")
    assert len(files(tmp_path / "out")) == 2
    assert run(videos, tmp_path / "out")[0].done == 4


def test_nan_is_never_written(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("clips.Means.encode", lambda self, snippets: np.full((1, 2), np.nan))
    report, _ = run(videos[:1], tmp_path / "out")
    assert "NaN" in report.failed["a.mp4"]
    assert files(tmp_path / "out") == {}


def test_the_wrong_encoder_name_is_found_before_any_work(videos, tmp_path):
    with pytest.raises(WsvadError, match="no encoder is called 'motoin'"):
        extract(videos, {"rgb": "motoin"}, tmp_path / "out")
    assert files(tmp_path / "out") == {}


def test_no_videos_is_nothing_to_do(tmp_path):
    report, _ = run([], tmp_path / "out", workers=2)
    assert (report.done, report.reused, report.failed, report.frames) == (0, 0, {}, 0)


def test_time_left_counts_unopened_videos_by_their_bytes(monkeypatch):
    now = 0.0
    monkeypatch.setattr("wsvad.extraction.progress.time.monotonic", lambda: now)
    jobs = [Job(video=name, path=Path(name), streams=("rgb",), size=size) for name, size in (("a", 300), ("b", 100))]
    progress = Estimate(jobs)
    assert progress.total() is None
    progress.update(Begun(video="a", declared=3000))
    assert progress.total() == 4000  # ten frames a byte
    now = 10.5
    progress.update(Advanced(video="a", frames=1050))
    assert progress.status() == "0/2 videos, 100 frames/s, 30 s left"
    progress.update(Finished(video="a", frames=2100))  # its header lied
    assert progress.total() == 2800
    progress.update(Begun(video="b", declared=None))
    now = 28.0
    progress.update(Finished(video="b", frames=700))
    assert progress.status() == "2/2 videos, 100 frames/s, 0 s left"
    assert progress.fraction() == 1


NO_NETWORK = """
import sys
from wsvad.cli.main import main

if __name__ == "__main__":
    videos, out, table, made = sys.argv[1:]
    extraction = ["extract", videos, "--rgb", "motion", "--out", out, "--workers"]
    assert main([*extraction, "2"]) == main([*extraction, "0"]) == 0
    assert main(["check", videos]) in (0, 1)
    assert main(["status", out]) == 1
    assert main(["convert", table, "--out", made, "--to", "label-studio"]) == 0
    assert "torch" not in sys.modules
"""


def test_what_runs_no_network_loads_no_torch(videos, tmp_path):
    """It takes seconds to import, and 200 MB."""
    (tmp_path / "script.py").write_text(NO_NETWORK)
    (tmp_path / "in.csv").write_text("video,category,start_frame,end_frame\na.mp4,x,1,5\n")
    given = [tmp_path / "script.py", videos[0][1].parent, tmp_path / "out", tmp_path / "in.csv", tmp_path / "out.json"]
    done = subprocess.run([sys.executable, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
