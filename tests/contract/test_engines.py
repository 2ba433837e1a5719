"""What every engine keeps to: the same bytes, each video once, what kills its worker is named, and nothing is lost when
a worker, a node or the one that asks dies. One cluster of Ray, on this machine, serves all tests."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from clips import walkers, write_clip

from wsvad.cli.main import main
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction import cluster as of_ray
from wsvad.extraction.engines import engine_of
from wsvad.extraction.extract import extract
from wsvad.extraction.jobs import Extraction
from wsvad.extraction.workers import Local

BUILDER = "clips:build"
lacking = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (pip install 'wsvad[ray]')")
ENGINES = ["local", pytest.param("ray", marks=lacking)]


@pytest.fixture(scope="session")
def cluster():
    """A head with room for two workers; tests may add nodes and remove them."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), before]))  # for `clips`
    import ray
    from ray.cluster_utils import Cluster

    # Without what nobody asks here: a dashboard, a scaler, and the lines of workers.
    quiet = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
    for again in (True, True, False):
        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, **quiet})
            break
        except Exception as error:  # Ray gives its own processes 15 seconds to start, which cannot be changed
            if not again:
                os.environ["PYTHONPATH"] = before
                pytest.skip(f"Ray does not start on this machine; is it busy? ({error})")
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()
    os.environ["PYTHONPATH"] = before


@pytest.fixture
def engine(request):
    """A maker of engines by name."""

    def made(name: str, workers: int = 2):
        if name == "ray":
            request.getfixturevalue("cluster")
        return engine_of(name, workers=workers)

    return made


@pytest.fixture
def videos(tmp_path):
    (tmp_path / "videos" / "yard").mkdir(parents=True)
    names = ["a.mp4", "b c.mp4", "yard/a.mp4", "yard/ä.mp4", "z.mp4"]
    return [(name, write_clip(tmp_path / "videos" / name, 5 + 5 * i)) for i, name in enumerate(names)]


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def undisturbed(videos, tmp_path, spec="means", **streams):
    extract(videos, streams or {"rgb": spec}, tmp_path / "undisturbed", builder=BUILDER, engine=Local(0))
    return files(tmp_path / "undisturbed")


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_writes_the_same_bytes_and_resumes(name, engine, videos, tmp_path, monkeypatch):
    streams, out = {"rgb": "means", "flow": "means:4+means"}, tmp_path / "out"
    gone = ("gone.mp4", tmp_path / "gone.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    report = extract([*videos[:2], gone, ("empty.mp4", tmp_path / "empty.mp4")], streams, out, builder=BUILDER,
                     engine=engine(name))  # fmt: skip
    assert (report.done, set(report.failed)) == (2, {"gone.mp4", "empty.mp4"})
    assert "empty (0 bytes)" in report.failed["empty.mp4"]
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    report = extract(videos, streams, out, builder=BUILDER, engine=engine(name))
    assert (report.done, report.reused, report.failed) == (3, 2, {})
    assert report.frames == 15 + 20 + 25
    assert files(out) == undisturbed(videos, tmp_path, **streams)
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    monkeypatch.chdir(tmp_path)  # paths may be relative to where the command runs
    relative = [(name, path.relative_to(tmp_path)) for name, path in videos]
    assert extract(relative, streams, "elsewhere", builder=BUILDER, engine=engine(name)).done == 5
    assert files(Path("elsewhere")) == files(out)


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_decodes_as_it_is_told(name, engine, tmp_path):
    video = ("a.mp4", write_clip(tmp_path / "a.mp4", walkers(1, 40), preset="medium", crf="38"))
    made = {}
    for decode in ("exact", "fast"):
        extract([video], {"rgb": "means"}, tmp_path / decode, builder=BUILDER, engine=Local(0), decode=decode)
        made[decode] = files(tmp_path / decode)
    extract([video], {"rgb": "means"}, tmp_path / "out", builder=BUILDER, engine=engine(name), decode="fast")
    assert files(tmp_path / "out") == made["fast"] != made["exact"]


@pytest.mark.parametrize("name", ENGINES)
def test_what_kills_its_worker_twice_is_named_and_the_others_are_done(name, engine, videos, tmp_path):
    hostile = ("hostile.mp4", write_clip(tmp_path / "hostile.mp4", 1, first=29))
    some = [*videos[:2], hostile, *videos[2:4]]
    report = extract(some, {"rgb": "means-crash"}, tmp_path / "out", builder=BUILDER, engine=engine(name))
    assert (report.done, list(report.failed)) == (4, ["hostile.mp4"])
    assert report.failed["hostile.mp4"].startswith(f"{hostile[1]}: the process that encoded it ")
    assert "\n" not in report.failed["hostile.mp4"]
    assert len(files(tmp_path / "out")) == 4


@pytest.mark.parametrize("name", ENGINES)
def test_a_worker_that_was_killed_once_costs_nothing(name, engine, videos, tmp_path, monkeypatch):
    once = tmp_path / "once"
    once.touch()
    hostile = ("hostile.mp4", write_clip(tmp_path / "hostile.mp4", 1, first=29))
    some, spec = [hostile, *videos[:2]], f"means-once={once}"
    report = extract(some, {"rgb": spec}, tmp_path / "out", builder=BUILDER, engine=engine(name))
    assert (report.done, report.failed) == (3, {})
    assert files(tmp_path / "out") == undisturbed(some, tmp_path, spec)


@lacking
def test_a_node_that_disappears_costs_nothing(cluster, videos, tmp_path):
    """Its workers are the only ones: the others come on a node that joins later."""
    node = cluster.add_node(num_cpus=1, resources={"spare": 1})
    cluster.wait_for_nodes()
    engine = engine_of("ray", workers=3)

    def remove():
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out").rglob("[!.]*.safetensors")) and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=remove)
    thread.start()
    report = extract(videos, {"rgb": "means-slow"}, tmp_path / "out", builder=BUILDER, engine=engine)
    thread.join()
    assert (report.done, report.failed) == (5, {})
    assert files(tmp_path / "out") == undisturbed(videos, tmp_path, "means-slow")


DRIVER = """
import sys
from pathlib import Path
from wsvad.extraction.engines import engine_of
from wsvad.extraction.extract import extract

if __name__ == "__main__":
    folder, out, engine = Path(sys.argv[1]), Path(sys.argv[2]), engine_of(sys.argv[3], workers=2)
    videos = [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*.mp4"))]
    report = extract(videos, {"rgb": "means-slow"}, out, builder="clips:build", engine=engine, slices=32)
    print(report.done, report.reused)
"""


@lacking
def test_a_head_is_told_by_its_answer(cluster):
    of_ray._knock(cluster.address)


@lacking
def test_the_driver_killed_and_started_again_loses_nothing(cluster, videos, tmp_path):
    """Also in the middle of a video that is encoded in slices."""
    write_clip(tmp_path / "videos" / "long.mp4", 96, g="10")
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [
        sys.executable,
        tmp_path / "driver.py",
        tmp_path / "videos",
        tmp_path / "out",
        f"ray://{cluster.address}",
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (kept := list((tmp_path / "out").rglob("[!.]*.safetensors"))) and time.monotonic() < deadline:
        time.sleep(0.05)
    first.kill()
    first.communicate()
    stamps = {path: path.stat().st_mtime_ns for path in kept if ".slices" not in path.parts}
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    done, reused = map(int, again.stdout.splitlines()[-1].split())  # Ray may have told of a node before
    assert done + reused == 6
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}  # nothing is done twice
    some = [*videos, ("long.mp4", tmp_path / "videos" / "long.mp4")]
    assert files(tmp_path / "out") == undisturbed(some, tmp_path, "means-slow")


def test_an_address_at_which_no_head_answers_is_one_line(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(WsvadError, match=rf"ray://{address}: Connection refused; start a cluster there"):
            of_ray._knock(address)
    with socket.socket() as silent, monkeypatch.context() as patch:
        patch.setattr(of_ray, "ANSWER", 0.2)
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(WsvadError, match=rf"ray://127.0.0.1:{silent.getsockname()[1]}: no answer; start a cluster"):
            of_ray._knock(f"127.0.0.1:{silent.getsockname()[1]}")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        thread = threading.Thread(target=web.handle_request)
        thread.start()
        with pytest.raises(WsvadError, match="not the head of a Ray cluster"):
            of_ray._knock(f"127.0.0.1:{web.server_port}")
        thread.join()
    with pytest.raises(UsageError, match="ray://somewhere: write ray://HOST:PORT"):
        of_ray._knock("somewhere")


@lacking
def test_what_a_node_lacks_is_said_before_any_work(cluster, videos, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def problem() -> str:
        with pytest.raises(WsvadError) as raised:
            extract(videos, {"rgb": "means"}, out, builder=BUILDER, engine=engine_of("ray", workers=1))
        assert files(out) == {} or not out.exists()
        return str(raised.value)

    with monkeypatch.context() as patch:
        patch.setattr(of_ray, "versions", lambda: {"wsvad": "9.9"})
        assert "has wsvad 0.1.0, and this machine 9.9; install the same version on each node" in problem()
    with monkeypatch.context() as patch:
        made = Extraction.passport
        patch.setattr(Extraction, "passport", lambda *given: replace(made(*given), weights="f00"))
        assert "its rgb encoder is another one (weights: None against f00); copy the same files" in problem()
    with monkeypatch.context() as patch:
        patch.setattr(of_ray._Team, "_of_first", lambda self: of_ray.Seen(mark=tmp_path / "elsewhere"))
        assert f"does not see {tmp_path} as this machine does; mount the same storage" in problem()


@lacking
def test_a_disk_that_is_full_on_one_node_leaves_that_node_out(cluster, videos, tmp_path, caplog):
    full = tmp_path / "full"
    full.touch()
    spec = f"means-full={full}"
    report = extract(videos, {"rgb": spec}, tmp_path / "out", builder=BUILDER, engine=engine_of("ray", workers=2))
    assert (report.done, report.failed) == (5, {})
    assert "is left out: " in caplog.text and "the disk is full" in caplog.text
    full.touch()
    with pytest.raises(WsvadError, match="the disk is full"):
        extract(videos, {"rgb": spec}, tmp_path / "other", builder=BUILDER, engine=engine_of("ray", workers=1))


@lacking
def test_a_plan_is_measured_on_the_cluster(cluster, videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("wsvad.doctor.plan.MINUTE", 0.1)
    words = [str(tmp_path / "videos"), "--rgb", "motion", "--out", str(tmp_path / "out"), "--plan", "--json"]
    assert main(["extract", *words, "--engine", "ray", "--workers", "1"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["left"]["videos"] == 5 and plan["workers"] == 1 and plan["measured"]["frames"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["videos"]  # nothing is left of it


@lacking
def test_too_large_a_worker_is_refused(cluster, videos, tmp_path):
    with pytest.raises(WsvadError, match="no node of the cluster has 64 CPUs and 1 GPUs for a worker"):
        extract(videos, {"rgb": "means"}, tmp_path / "out", builder=BUILDER, engine=engine_of("ray", cpus=64, gpus=1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "spark"}, "--engine spark: there is no such engine; write local, ray or ray://HOST:PORT"),
        ({"name": "ray://"}, "--engine ray://: there is no such engine"),
        ({"name": "ray", "workers": 0}, "a cluster has at least one worker"),
        ({"name": "local", "cpus": 2}, "are for --engine ray; leave them out"),
    ],
)
def test_an_engine_that_is_asked_for_wrongly_is_an_error_at_once(given, said):
    with pytest.raises(UsageError, match=said):
        engine_of(**given)
