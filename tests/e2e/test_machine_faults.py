"""A machine that fails: a full disk, a folder that cannot be written, too little memory, too few descriptors, closed
streams, Ctrl-C at any moment. One line that says what was short, exit status 1, nothing lost and nothing half."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip

from wsvad import WsvadError, train
from wsvad.cli.main import main
from wsvad.detection.detector import encode_video
from wsvad.extraction.snippets import Snippets
from wsvad.files import whole_folder
from wsvad.methods.mil import MilConfig
from wsvad.runs.model import load_method, save_method
from wsvad.training.protocol import Protocol

QUICK = Protocol(iterations=20, points=2, segments=4, bags=2, normalise="standardise")
FIT = ["--iterations", "4", "--points", "2", "--segments", "4", "--bags", "2", "--hold-out", "0", "--method", "mil"]
COMMAND = [sys.executable, "-m", "wsvad.cli.main"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
HOLD = "import sys; from wsvad.locks import writing\nwith writing(sys.argv[1]): print(flush=True); sys.stdin.read()"
INTERRUPTED = "wsvad: interrupted; run the same command again to resume\n"
UNDERSTOOD = "labels.csv: 8 rows, separator ',', UTF-8"


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Eight clips of noise; something bright crosses the abnormal ones."""
    folder, rows = tmp_path_factory.mktemp("faults") / "videos", ["video,label,split,frames"]
    folder.mkdir()
    for number in range(8):
        images = list(np.random.default_rng(number).integers(40, 50, (64, 48, 64, 3)).astype(np.uint8))
        for i in range(16, 48) if number % 2 else ():
            images[i][10:30, (5 * i) % 50 : (5 * i) % 50 + 12] = 220
        write_clip(folder / f"v{number}.mp4", images)
        rows.append(f"v{number}.mp4,{number % 2},{'test' if number > 5 else 'train'},64")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    config = MilConfig(hidden=(8, 4))
    train(videos, out, method="mil", config=config, protocol=QUICK, streams={"rgb": "motion"}, workers=0)
    return out


@contextmanager
def limited(what: int, most: int):
    """A limit on this process; it is lifted again."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------------- disk


@pytest.mark.parametrize(
    "verb",
    [
        ["score", "{videos}", "--model", "{run}"],
        ["extract", "{videos}", "--rgb", "motion", "--workers", "0"],
        ["train", "{videos}", "--rgb", "motion", "--workers", "0", *FIT],
        ["fit", "{videos}", "--features", "{run}/features", *FIT],
        ["bench", "--data", "{videos}", "--features", "{run}/features", "--methods", "mil", *FIT[:-2]],
        ["toy", "--videos", "4"],
    ],
    ids=lambda verb: verb[0],
)
@pytest.mark.parametrize("fault", ["a file in its place", "no room", "read-only"])
def test_what_will_be_written_is_tried_before_work(verb, fault, videos, run, tmp_path, capsys, monkeypatch):
    """Nothing is decoded, simulated or trained; and nothing is left."""

    def work(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("work was begun")

    for place in (
        "detection.detector.encode_video", "extraction.jobs.encode_video", "training.fitting.run_phases",
        "datasets.toy.make.write_video",
    ):  # fmt: skip
        monkeypatch.setattr(f"wsvad.{place}", work)
    words = [word.format(videos=videos, run=run) for word in verb]
    words[1:1] = [str(tmp_path / "there" / "out")] if verb[0] == "toy" else []
    words += [] if verb[0] == "toy" else ["--out", str(tmp_path / "there" / "out")]
    if fault == "a file in its place":
        (tmp_path / "there").write_text("mine")
        assert main(words) == 1
        assert "Not a directory" in last_line(capsys)
    elif fault == "no room":
        (tmp_path / "there").mkdir()
        with limited(resource.RLIMIT_FSIZE, 1000):
            assert main(words) == 1
        assert "a file as large as this may not be written here" in last_line(capsys)
    else:
        (tmp_path / "there").mkdir()
        with read_only(tmp_path / "there"):
            assert main(words) == 1
        assert "no permission to write here; choose another folder" in last_line(capsys)
    assert files(tmp_path) == ({"there": b"mine"} if fault == "a file in its place" else {})


@contextmanager
def read_only(folder: Path):
    """A folder in which nothing can be written, not even by an administrator."""
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    mark = (
        subprocess.run(["chattr", "+i", folder], capture_output=True, check=False) if shutil.which("chattr") else None
    )
    if mark is None or mark.returncode:
        pytest.skip("an administrator can write anywhere here: there is no chattr, or the file system ignores it")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


def last_line(capsys) -> str:
    told = capsys.readouterr().err
    assert "Traceback" not in told and "internal error" not in told
    return told.splitlines()[-1]


def test_a_disk_that_fills_up_leaves_nothing_half(videos, run, tmp_path, capsys):
    """The features fit on it, the report does not: what is finished is kept, and the next call ends it."""
    command = ["train", str(videos), "--rgb", "motion", "--workers", "0", *FIT, "--out", str(tmp_path / "run")]
    with limited(resource.RLIMIT_FSIZE, 20_000):
        assert main(command) == 1
    line = last_line(capsys)
    assert str(tmp_path / "run") in line and "a file as large as this" in line
    assert not [name for name in files(tmp_path) if Path(name).name.startswith(".")]
    assert not (tmp_path / "run" / "model.json").exists()
    assert main(command) == 0
    assert main([*command[:-1], str(tmp_path / "undisturbed")]) == 0
    model = "model.safetensors"
    assert (tmp_path / "run" / model).read_bytes() == (tmp_path / "undisturbed" / model).read_bytes()


def test_a_category_that_cannot_be_written_leaves_no_run(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(WsvadError, match="run: a file as large"), whole_folder(tmp_path / "run") as temporary:
        (temporary / "config.yaml").write_text("a: 1")
        with limited(resource.RLIMIT_FSIZE, 1000):
            (temporary / "model.safetensors").write_bytes(bytes(5000))
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and not list((tmp_path / "run").iterdir())
    with whole_folder(tmp_path / "run") as temporary:
        (temporary / "model.json").write_text("{}")
    assert files(tmp_path) == {"run/model.json": b"{}"}


# --------------------------------------------------------------------------------------------- score, interrupted


def test_score_goes_on_where_it_was_interrupted(videos, run, tmp_path, capsys, monkeypatch):
    """Ctrl-C in the third of eight videos: results of two; the same command encodes six, and ends in the same files."""
    command = ["score", str(videos), "--model", str(run), "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    encoded = []

    def encode(path: Path, *args: object, **options: object) -> object:
        encoded.append(path.name)
        if len(encoded) == 3:
            raise KeyboardInterrupt
        return encode_video(path, *args, **options)

    monkeypatch.setattr("wsvad.detection.detector.encode_video", encode)
    out = tmp_path / "out"
    capsys.readouterr()
    assert main([*command, str(out)]) == 1
    assert last_line(capsys) == (
        f"wsvad: {out}: interrupted; 2 of 8 videos are finished and kept; run the same command again to resume"
    )
    assert [one["video"] for one in json.loads((out / "scores.json").read_text())["videos"]] == ["v0.mp4", "v1.mp4"]
    assert "2 of 8 videos are finished" in (out / "report.html").read_text()
    assert main([*command, str(out)]) == 0
    assert encoded == [f"v{n}.mp4" for n in (0, 1, 2, 2, 3, 4, 5, 6, 7)]
    both = files(tmp_path / "whole"), files(out)
    assert both[0].keys() == both[1].keys()
    for name in both[0].keys() - {"report.html"}:  # which links to the videos, but is the same otherwise
        assert both[0][name] == both[1][name], name


@pytest.mark.parametrize("change", ["", "another video", "another model", "a damaged file"])
def test_score_goes_on_inside_a_long_video(change, videos, run, tmp_path, capsys, monkeypatch):
    """Ctrl-C after five of its eight snippets: the same command encodes three; all of them where anything differs."""
    long, model, out = tmp_path / "long.mp4", tmp_path / "run", tmp_path / "out"
    images = list(np.random.default_rng(9).integers(40, 50, (120, 48, 64, 3)).astype(np.uint8))
    write_clip(long, images)
    shutil.copytree(run, model)
    encoded, flush = [], Snippets.flush

    def flushed(self: Snippets) -> object:
        if len(encoded) == 5 and not (out / "scored" / "long.mp4.part").exists():
            raise KeyboardInterrupt
        encoded.append(1)
        return flush(self)

    command = ["score", str(long), "--model", str(model), "--out"]
    monkeypatch.setattr(Snippets, "flush", flushed)
    assert main([*command, str(out)]) == 1
    assert last_line(capsys) == (
        f"wsvad: {out}: interrupted; 0 of 1 videos are finished and kept, and 80 frames of long.mp4; "
        "run the same command again to resume"
    )
    part = out / "scored" / "long.mp4.part"
    if change == "another video":
        write_clip(long, images[::-1])
    elif change == "another model":
        save_method(model, replace(load_method(model), window=2))
    elif change:
        part.write_bytes(part.read_bytes()[:-9])
    encoded.clear()
    assert main([*command, str(out)]) == 0
    assert ("long.mp4: 80 frames were encoded before, and are kept" in capsys.readouterr().err) == (not change)
    assert len(encoded) == (8 if change else 3)
    assert not part.exists()
    monkeypatch.undo()
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert (out / "scores.json").read_bytes() == (tmp_path / "whole" / "scores.json").read_bytes()


def test_how_far_a_video_was_encoded_is_kept_while_it_is(videos, run, tmp_path, monkeypatch):
    """A machine that loses its power tells nobody."""
    monkeypatch.setattr("wsvad.cli.score_files.KEEP_EVERY", 0)
    seen = []
    part = tmp_path / "scored" / "v0.mp4.part"
    flush = Snippets.flush
    monkeypatch.setattr(Snippets, "flush", lambda self: (seen.append(part.exists()), flush(self))[1])
    assert main(["score", str(videos / "v0.mp4"), "--model", str(run), "--out", str(tmp_path)]) == 0
    assert seen[0] is False and seen[-1] is True and not part.exists()


def test_only_what_is_the_same_is_kept(videos, run, tmp_path, monkeypatch):
    """A video that changed, another mode and another model are scored again; another threshold is not."""
    folder, out, encoded = tmp_path / "videos", tmp_path / "out", []
    shutil.copytree(videos, folder)
    for number in range(2, 8):
        (folder / f"v{number}.mp4").unlink()

    def encode(path: Path, *args: object, **options: object) -> object:
        encoded.append(path.name)
        return encode_video(path, *args, **options)

    monkeypatch.setattr("wsvad.detection.detector.encode_video", encode)

    def again(*options: str, model: Path = run) -> list[str]:
        encoded.clear()
        assert main(["score", str(folder), "--model", str(model), "--out", str(out), *options]) == 0
        return encoded[:]

    assert again() == ["v0.mp4", "v1.mp4"]
    assert again() == again("--max-false-alarms-per-hour", "9000") == []
    shutil.copy(videos / "v3.mp4", folder / "v0.mp4")
    assert again() == ["v0.mp4"]
    kept = out / "scored" / "v1.mp4.safetensors"
    kept.write_bytes(kept.read_bytes()[:-20])
    assert again() == ["v1.mp4"]
    other = tmp_path / "other"
    shutil.copytree(run, other)
    save_method(other, replace(load_method(other), window=2))
    assert again(model=other) == ["v0.mp4", "v1.mp4"]
    assert again("--mode", "online", model=other) == ["v0.mp4", "v1.mp4"]
    drawn: list[str] = []
    monkeypatch.setattr(
        "wsvad.cli.score_outputs.write_overlay", lambda timeline, path: (drawn.append(timeline.video), path.touch())
    )
    for _ in range(2):
        again("--mode", "online", "--overlay", model=other)
    assert drawn == ["v0.mp4", "v1.mp4"]


# ------------------------------------------------------------------------------------------ memory and descriptors


def _raise(error: BaseException):
    def raising(*_args: object, **_kwargs: object) -> None:
        raise error

    return raising


SHORT = [
    (MemoryError(), "not enough memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"), "enough memory"),
    (RuntimeError("CUDA out of memory. Tried to allocate 20 MiB"), "the GPU's memory ran out"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "the GPU's memory ran out"),
    (RuntimeError("out of memory, while timestamps were read"), "not enough memory"),
    (ImportError("libx.so: failed to map segment from shared object"), "not enough memory"),
    (ImportError("libx.so: cannot open shared object file: Too many open files"), "too many open files"),
    (OSError(24, "Too many open files"), "too many open files"),
    (OSError(12, "Cannot allocate memory"), "not enough memory"),
    (RuntimeError("can't start new thread"), "no more; close other programs"),
    (OSError(11, "Resource temporarily unavailable"), "no more; close other programs"),
]


@pytest.mark.parametrize(("error", "words"), SHORT, ids=lambda one: type(one).__name__ if one is not str else one)
@pytest.mark.parametrize("at", ["wsvad.evaluation.measure.measure", "wsvad.runs.model.load"])
def test_what_was_short_is_said(error, words, at, run, capsys, monkeypatch):
    """Raised as it is, or where a file would be called damaged."""
    monkeypatch.setattr(at, _raise(error))
    verb = ["evaluate", str(run)] if at.endswith("measure") else ["score", str(run), "--model", str(run)]
    assert main(verb) == 1
    line = last_line(capsys)
    assert words in line and "train again" not in line and "damaged" not in line


def test_a_video_is_not_called_damaged_where_descriptors_are_short(videos, run, tmp_path, capsys):
    """All but the last few are taken, so that the video itself can no longer be opened."""
    command = ["score", str(videos / "v0.mp4"), "--model", str(run), "--out", str(tmp_path / "out")]
    assert main(["score", str(videos / "v1.mp4"), *command[2:]]) == 0  # all modules are loaded
    capsys.readouterr()
    taken = os.open(os.devnull, os.O_RDONLY)
    os.close(taken)
    with limited(resource.RLIMIT_NOFILE, taken + 1):  # the lock of the folder takes the one that is left
        assert main(command) == 1
    line = last_line(capsys)
    assert "too many open files; allow more ('ulimit -n 4096')" in line
    assert main(command) == 0


def test_too_little_memory_is_one_line(run):
    """Whichever library fails first, at whatever it was."""

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (250 << 20, 250 << 20))

    done = subprocess.run(
        [*COMMAND, "evaluate", str(run)],
        preexec_fn=little, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "not enough memory" in done.stderr or "OpenBLAS error: Memory allocation" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        (">/dev/full", 1, "wsvad: standard output: the disk is full; free some space and run the same command again\n"),
        (">&-", 1, "wsvad: standard output is closed; send it to a file, or to /dev/null\n"),
        (">&- 2>&-", 1, ""),
        ("2>&-", 1, ""),
        ("<&-", 0, ""),
    ],
)
@pytest.mark.parametrize("what", ["--version", "encoders --help"])
def test_streams_that_fail(what, redirection, status, said):
    line = f'"$0" -m wsvad.cli.main {what} {redirection}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, said)
    if redirection == "2>&-":
        assert done.stdout == "wsvad: standard error is closed; send it to a file, or to /dev/null\n"


def test_a_pipe_that_does_not_wait_is_no_lack_of_memory():
    """Such as a terminal program gives, or ssh."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    code = "import sys\nfrom wsvad.cli import answer, main, output, process\n"
    code += "answer.answer = lambda *_, **__: output.show_json(list(range(99999)))\n"
    code += "sys.exit(process.as_process(lambda: main.main([])))"
    buffered = ENVIRONMENT | {"PYTHONUNBUFFERED": ""}
    told = subprocess.run(
        [sys.executable, "-c", code], env=buffered, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    os.close(reading)
    wanted = "wsvad: standard output: does not wait until all is read; write to a file, or through '| cat'\n"
    assert (told.returncode, told.stderr) == (1, wanted)


def test_a_mistake_is_a_mistake_where_no_line_can_be_written():
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m wsvad.cli.main nonsense 2>/dev/full'], env=ENVIRONMENT, check=False
    )
    assert done.returncode == 2


def test_messages_that_cannot_be_written_cost_no_result(tmp_path):
    """A log on a disk that is full."""
    (tmp_path / "in.csv").write_text("video,category,start_frame,end_frame\na.mp4,x,1,5\n")
    line = '"$0" -m wsvad.cli.main convert "$1/in.csv" --out "$1/out.json" --to label-studio 2>/dev/full'
    done = subprocess.run(["bash", "-c", line, sys.executable, str(tmp_path)], env=ENVIRONMENT, check=False)
    assert done.returncode == 0
    assert json.loads((tmp_path / "out.json").read_text())[0]["data"] == {"video": "a.mp4"}


# ----------------------------------------------------------------------------------------------------------- Ctrl-C


def interrupted(command: list[str], when, cwd: Path) -> tuple[int, str]:
    """Send Ctrl-C to a command and all its processes, as a terminal does, once `when()`."""
    process = subprocess.Popen(
        command, env=ENVIRONMENT, cwd=cwd, start_new_session=True, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not when(process) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


def has_loaded(library: str):
    """Whether a process has mapped a library."""

    def found(process: subprocess.Popen) -> bool:
        return library in Path(f"/proc/{process.pid}/maps").read_text()

    return found


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("library", ["_safetensors", "_multiarray_umath", "libtorch_cpu"])
def test_interrupted_while_modules_load(library, run, tmp_path):
    assert interrupted([*COMMAND, "evaluate", str(run)], has_loaded(library), tmp_path) == (1, INTERRUPTED)


@pytest.mark.parametrize("part", ["*.safetensors", ".*.safetensors"])
def test_interrupted_while_processes_encode_or_write(part, videos, tmp_path):
    command = [*COMMAND, "extract", str(videos), "--rgb", "motion", "--workers", "2", "--out", "out"]
    status, told = interrupted(command, lambda _: list((tmp_path / "out").rglob(part)), tmp_path)
    understood, *ended = told.splitlines()
    assert understood == UNDERSTOOD and (status, len(ended)) in {(1, 1), (0, 0)}
    assert status == 0 or "videos are finished and kept; run the same command again to resume" in told
    assert not [name for name in files(tmp_path) if Path(name).name.startswith(".")]


def test_interrupted_while_processes_start(videos, tmp_path):
    command = [*COMMAND, "extract", str(videos), "--rgb", "motion", "--workers", "2", "--out", "out"]
    status, told = interrupted(command, lambda _: (tmp_path / "out").exists(), tmp_path)
    understood, ended = told.splitlines()
    assert status == 1 and understood == UNDERSTOOD and "interrupted; " in ended


def test_interrupted_while_training(videos, run, tmp_path):
    command = [*COMMAND, "fit", str(videos), "--features", str(run / "features"), *FIT, "--out", "fit"]
    command[command.index("--iterations") + 1] = "100000"
    command[command.index("--points") + 1] = "1000"
    there = tmp_path / "fit" / "seed-0" / "fit.checkpoint"
    status, told = interrupted(command, lambda _: there.exists(), tmp_path)
    said = [line for line in told.splitlines(keepends=True) if not line.startswith("seed 0: ")]  # how far it is
    assert (status, "".join(said)) == (1, f"{UNDERSTOOD}\n{INTERRUPTED}")
    assert not [name for name in files(tmp_path) if Path(name).name.startswith(".")]


@pytest.mark.parametrize("error", [ImportError("numpy._core.multiarray failed to import"), KeyboardInterrupt()])
def test_what_a_library_makes_of_an_interrupt_is_an_interrupt(error, run, capfd, monkeypatch):
    def load(*_args: object, **_kwargs: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise error  # noqa: B904

    monkeypatch.setattr("wsvad.evaluation.measure.measure", load)
    assert main(["evaluate", str(run)]) == 1
    assert capfd.readouterr().err == INTERRUPTED


def test_two_commands_on_one_run_folder(videos, run, tmp_path, capsys):
    """The second one is refused, whatever verb it is; train itself extracts into its own run folder."""
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    held.stdout.readline()
    for words in (
        ["train", str(videos), "--rgb", "motion", "--workers", "0", *FIT],
        ["fit", str(videos), "--features", str(run / "features"), *FIT],
        ["score", str(videos), "--model", str(run)],
        ["bench", "--data", str(videos), "--features", str(run / "features"), "--methods", "mil", *FIT[:-2]],
        ["extract", str(videos), "--rgb", "motion", "--workers", "0"],
    ):
        assert main([*words, "--out", str(tmp_path / "run")]) == 1
        assert "another command is writing to this folder" in last_line(capsys)
    held.communicate()
    assert not (tmp_path / "run").exists()
