"""A site that several processes watch: the same as one of them does, and none of them outlives the others."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from alerts import wait_for
from clips import write_clip
from live_run import tiny_run
from packets import pictures

from wsvad.detection.event_store import EventStore
from wsvad.errors import WsvadError
from wsvad.processes import Pipe
from wsvad.sinks import outbox
from wsvad.watch.apart import Apart, _live
from wsvad.watch.health import unwell
from wsvad.watch.settings import read_site
from wsvad.watch.site import Watch, plans_of
from wsvad.watch.status import status_of

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc which processes there are")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("watch"))


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[Path]:
    """Nothing moves for some seconds, then something does; each in another place and for another time."""
    folder, moving = tmp_path_factory.mktemp("films"), pictures(90, (160, 120))
    return [
        write_clip(folder / f"{number}.mp4", [moving[number]] * (75 + 16 * number) + moving[: 40 + 16 * number],
                   rate=25, g="25", tune="zerolatency")
        for number in range(3)
    ]  # fmt: skip


def write_site(folder: Path, run: Path, films: list[Path], pace: str = "fast") -> Path:
    folder.mkdir(exist_ok=True)
    site = {
        "model": str(run),
        "cameras": {f"c{i}": {"source": str(film), "threshold": 0.5, "pace": pace} for i, film in enumerate(films)},
        "sinks": {"log": {"type": "jsonl", "path": str(folder / "alerts.jsonl")}},
        "clips": {"before": 1, "after": 1},
        "health": {"port": 0},
    }
    (folder / "cameras.yaml").write_text(yaml.safe_dump(site))
    return folder / "cameras.yaml"


def delivered(folder: Path) -> list[dict]:
    path = folder / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def watched(folder: Path, run: Path, films: list[Path], processes: int) -> list[tuple]:
    """What is delivered of a site that is watched to the end of its files: cameras, states, scores and lengths."""
    heard, site = [], read_site(write_site(folder, run, films))
    with Watch(site, folder / "watch", on_alert=heard.append, processes=processes) as watch:
        watch.run(threading.Event(), every=0.05)
        assert [state.name for state in watch.states()] == list(site.cameras)
        assert watch.outbox.drained(20)
    now = watch.as_dict()
    assert now["clips"]["written"] == len(films) and all(now["cameras"][name]["events"] == 1 for name in site.cameras)
    for camera in now["cameras"].values():
        assert set(camera["stages"]) == {"decode", "convert", "network", "head", "rest"}
        assert min(camera["stages"].values()) > 0
        assert sum(camera["stages"].values()) == pytest.approx(camera["seconds_of_work"], abs=0.01)
    sent = delivered(folder)
    assert sorted(one.key for one in heard) == sorted(one["key"] for one in sent)
    store = EventStore(folder / "watch" / "events.db")
    kept = [(one, list(store.features(one.alert.id))) for one in store.events()]
    store.close()
    assert all(one.still and Path(one.clip).is_file() and features for one, features in kept)
    moments = {(one["camera"], one["state"]): one for one in sent}
    assert len(moments) == len(sent) == 2 * len(films)
    return [
        (name, pytest.approx(end["score"], abs=1e-5), pytest.approx(_lasts(end), abs=2e-3), len(features[0].rows))
        for name in site.cameras
        for end in [moments[name, "end"]]
        for one, features in kept
        if one.alert.camera == name
    ]


def _lasts(alert: dict) -> float:
    start, end = (datetime.fromisoformat(alert[key]) for key in ("start", "end"))
    return (end - start).total_seconds()


def test_two_processes_find_and_keep_and_send_what_one_does(run, films, tmp_path):
    one, two = (watched(tmp_path / str(count), run, films, count) for count in (1, 2))
    assert [tuple(_plain(each) for each in row) for row in one] == two


def _plain(value):
    return getattr(value, "expected", value)


def test_an_alert_of_another_process_is_delivered_at_once(run, films, tmp_path, monkeypatch):
    """Not when the queue is looked at for want of news."""
    monkeypatch.setattr(outbox, "LOOK", 60.0)
    site = read_site(write_site(tmp_path, run, films[:2]))
    with Watch(site, tmp_path / "watch", processes=2) as watch:
        watch.run(threading.Event(), every=0.05)
        assert watch.outbox.drained(20)
    assert len(delivered(tmp_path)) == 4


def test_a_process_for_four_cameras_up_to_a_processor_each(run, films, tmp_path, monkeypatch):
    monkeypatch.setattr("wsvad.watch.site.processors", lambda: 3)

    def shares(count: int, device: str = "cpu") -> list[tuple[int, int, int]]:
        site = read_site(write_site(tmp_path, run, films[:1] * count))
        plans = plans_of(site, tmp_path, device, None)
        assert sorted(name for plan in plans for name in plan.site.cameras) == sorted(site.cameras)
        return [(len(plan.site.cameras), plan.threads, plan.libraries) for plan in plans]

    assert shares(1) == [(1, 1, 3)]
    assert shares(4) == [(4, 3, 1)]
    assert shares(5) == [(3, 2, 1), (2, 1, 1)], "a thread for each processor in all"
    assert shares(16) == [(6, 1, 1), (5, 1, 1), (5, 1, 1)]
    monkeypatch.setattr("wsvad.watch.site.device_of", lambda device: device)
    assert shares(16, "cuda") == [(16, 3, 1)]


def test_what_is_wrong_with_a_model_is_said_as_by_one_process(run, films, tmp_path):
    path = write_site(tmp_path, run, films[:2])
    site = yaml.safe_load(path.read_text())
    site["cameras"]["c1"]["model"] = "no-such-run"
    path.write_text(yaml.safe_dump(site))
    said = []
    for processes in (1, 2):
        with pytest.raises(WsvadError) as error:
            Watch(read_site(path), tmp_path / "watch", processes=processes)
        said.append((type(error.value), str(error.value)))
    assert said[0] == said[1] and "no-such-run" in said[0][1]
    assert not (tmp_path / "watch" / "events.db").exists()


@linux
def test_a_process_that_is_killed_ends_the_watch_and_no_event_is_lost(run, films, tmp_path):
    """Its supervisor starts it again."""
    moving = write_clip(tmp_path / "moving.mp4", pictures(400, (160, 120)), rate=25, g="25", tune="zerolatency")
    site = read_site(write_site(tmp_path, run, [moving, moving], pace="real time"))
    with Watch(site, tmp_path / "watch", processes=2) as watch:
        thread = threading.Thread(target=wait_for, args=(lambda: len(delivered(tmp_path)) == 2,))
        thread.start()
        killed = False

        def kill() -> None:
            nonlocal killed
            if not thread.is_alive() and not killed:
                assert isinstance(watch.shares[1], Apart)
                os.kill(watch.shares[1].pid, signal.SIGKILL)
                killed = True

        with pytest.raises(WsvadError, match=r"the process that watches c1 was killed by SIGKILL .* started again"):
            watch.run(threading.Event(), every=0.05, show=kill)
    assert not any(_runs(share.pid) for share in watch.shares)
    with Watch(site, tmp_path / "watch", processes=2) as watch:
        assert watch.outbox.drained(20)
    states = {}
    for one in delivered(tmp_path):
        states.setdefault(one["id"], []).append(one["state"])
    assert len(states) >= 2 and all(each == ["start", "end"] for each in states.values())


def command(site: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "wsvad", "watch", str(site), "--out", str(folder)]


@linux
@pytest.mark.parametrize(
    ("end", "early"), [(signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)]
)
def test_processes_end_with_the_first_one(run, films, tmp_path, end, early):
    """A kill tells nobody; SIGTERM of a supervisor and Ctrl-C of a terminal go to all processes of the group, also
    while these are starting."""
    slow = write_clip(tmp_path / "slow.mp4", pictures(400, (64, 48)), rate=10, g="10", tune="zerolatency")
    site = write_site(tmp_path, run, [slow] * 5, pace="real time")
    with subprocess.Popen(
        command(site, tmp_path / "watch"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        several = (os.cpu_count() or 1) > 1
        wait_for(lambda: len(_group(process.pid)) > several if early else status_of_runs(tmp_path / "watch"))
        assert len(_group(process.pid)) >= (1 if early or not several else 3)
        if end == signal.SIGKILL:
            process.send_signal(end)
        else:
            os.killpg(process.pid, end)
        process.wait(60)
        said = process.stderr.read()
    wait_for(lambda: not _group(process.pid))
    if end != signal.SIGKILL:
        assert process.returncode == 0 and said.rstrip().endswith("events.db"), said
        assert status_of(tmp_path / "watch").ended


def status_of_runs(folder: Path) -> bool:
    return (folder / "running.json").exists() and status_of(folder).runs


def _group(leader: int) -> list[int]:
    """Processes of a session but zombies."""
    each = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return [pid for pid in each if (fields := _runs(pid)) and int(fields[3]) == leader]


def _runs(pid: int) -> list[str]:
    """What the system says of a process; nothing of one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


class Hung(WsvadError):
    """Of a class of its own, as a package may have it: another process cannot make it of its words alone."""

    def __init__(self, what: str, more: str):
        super().__init__(f"{what}: {more}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Hung("a", "b"), "^a: b$"),
        (MemoryError(), "there is not enough memory"),
        (KeyError("weights"), r"^KeyError: '?weights'?; report this$"),
    ],
)
def test_an_error_of_another_process_is_a_line_here(run, films, tmp_path, error, said):
    """Whatever it is: who waits for the process waits no more, and the others are ended."""
    pipe, other = multiprocessing.Pipe()

    class Fails:
        def __init__(self, plan):
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsvad.watch.apart.Share", Fails)
        _live(Pipe(other), plans_of(read_site(write_site(tmp_path, run, films)), tmp_path, "cpu", None)[0])
    ended = pipe.recv()
    with pytest.raises(WsvadError, match=said):
        raise ended.error


def test_a_process_that_is_not_understood_ends_the_watch(run, films, tmp_path, monkeypatch):
    monkeypatch.setattr("wsvad.watch.apart.Apart._hear", lambda *_: {}["nothing"])
    site = read_site(write_site(tmp_path, run, films[:2]))
    with pytest.raises(WsvadError, match="what the process that watches c0 sends cannot be read"):
        Watch(site, tmp_path / "watch", processes=2)


@linux
def test_a_process_that_does_not_answer_is_not_well_and_what_it_tells_is_not_waited_for(
    run, films, tmp_path, monkeypatch
):
    """Nobody reads what is told: a terminal that is stopped. Alerts are delivered all the same."""
    monkeypatch.setattr("wsvad.watch.apart.SILENT", 0.5)
    site, told, go_on = read_site(write_site(tmp_path, run, films[:2])), [], threading.Event()

    def tell(alert):
        told.append(alert)
        go_on.wait(60)

    with Watch(site, tmp_path / "watch", processes=2, on_alert=tell) as watch:
        watch.run(threading.Event(), every=0.05)
        assert watch.outbox.drained(20) and len(told) == 2
        assert all(state.state == "ended" for state in watch.states())
        os.kill(watch.shares[1].pid, signal.SIGSTOP)
        wait_for(lambda: watch.states()[1].state == "not answering")
        said = unwell(watch.as_dict())
        assert len(said) == 1 and "camera 'c1': the process that watches it does not answer for" in said[0]
        os.kill(watch.shares[1].pid, signal.SIGCONT)
        wait_for(lambda: watch.states()[1].state == "ended")
        go_on.set()
    assert len(told) == 4


@linux
def test_who_forgets_to_end_a_watch_waits_for_nobody(run, films, tmp_path):
    site = write_site(tmp_path, run, films[:2], pace="real time")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from wsvad.watch.settings import read_site\n"
        "from wsvad.watch.site import Watch\n"
        "if __name__ == '__main__':\n"
        "    watch = Watch(read_site(Path(sys.argv[1])), Path(sys.argv[2]), processes=2)\n"
        "    print(*(share.pid for share in watch.shares))\n"
    )
    done = subprocess.run(
        [sys.executable, str(program), str(site), str(tmp_path / "watch")], capture_output=True, text=True,
        timeout=120, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not any(_runs(int(pid)) for pid in done.stdout.split())
