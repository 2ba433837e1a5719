"""Videos and features in an object store: the same bytes as in a folder, whatever the store does meanwhile."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import clips
import numpy as np
import pytest
from clips import write_clip
from places import ROOT
from stores import Proxy, run

from wsvad.cli.main import main
from wsvad.datasets.folder import videos_in
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.encode import encode_video
from wsvad.extraction.extract import extract
from wsvad.features.source import open_features
from wsvad.features.store import load, read_passport
from wsvad.files import sha256
from wsvad.storage import asking, blocks, place
from wsvad.storage.asking import store_of
from wsvad.video.reader import VideoReader

pytest.importorskip("s3fs", reason="needs wsvad[s3]")
moto = pytest.importorskip("moto.server", reason="needs moto's server")

KEY, SECRET = "AKIDEXAMPLE77", "secret-of-a-store-55"
NAMES = ("a.mp4", "b.mkv", "yard/c d.avi", "yard/ä.mp4")


@pytest.fixture(scope="module")
def proxy():
    """The way to a store, whose faults can be chosen; with credentials that are easy to recognise."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    behind.start()
    with pytest.MonkeyPatch.context() as patch, Proxy(behind.get_host_and_port()[1]) as found:
        env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": found.url}
        for name, value in (env | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
            patch.setenv(name, value)
        store_of.cache_clear()
        store_of("s3").mkdir("site")
        yield found
        store_of.cache_clear()
    behind.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos on this machine, of 5 to 41 frames."""
    root = tmp_path_factory.mktemp("site") / "videos"
    (root / "yard").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        write_clip(root / name, 5 + 12 * i)
    return root


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    """Feature files of them on this machine: name → bytes."""
    out = tmp_path_factory.mktemp("made")
    extract(videos_in([folder]), {"rgb": "means"}, out, workers=0, builder="clips:build")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.safetensors")}


@pytest.fixture
def store(proxy, folder, tmp_path, monkeypatch):
    """The store, with the videos in `s3://site/videos`; empty at the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(asking, "WAIT", 0.0)
    blocks._objects.clear()
    found = store_of("s3")
    for name in NAMES:
        found.put_file(str(folder / name), f"site/videos/{name}")
    yield found
    proxy.well()
    for key in found.find("site"):
        found.rm_file(key)


def features(store) -> dict[str, bytes]:
    return {key.removeprefix("site/out/"): store.cat_file(key) for key in store.find("site/out")}


def test_the_same_command_writes_the_same_bytes_to_a_folder_and_to_a_store(store, folder, tmp_path, capfd):
    command = ["extract", "--rgb", "motion", "--workers", "0"]
    assert main([*command, str(folder), "--out", str(tmp_path / "out")]) == 0
    assert main([*command, "s3://site/videos", "--out", "s3://site/out"]) == 0
    local = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in tmp_path.rglob("*.safetensors")
    }
    assert features(store) == local
    assert len(local) == len(NAMES)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size > 64]
    said = "".join(capfd.readouterr())
    assert KEY not in said and SECRET not in said
    assert not any(SECRET.encode() in data or KEY.encode() in data for data in local.values())


def test_processes_are_given_urls_and_one_that_has_all_is_run_again_in_vain(store, made):
    assert run(workers=1).done == len(NAMES)
    assert features(store) == made
    written = {key: one["LastModified"] for key, one in store.find("site/out", detail=True).items()}
    again = run()
    assert (again.done, again.reused) == (0, len(NAMES))
    assert {key: one["LastModified"] for key, one in store.find("site/out", detail=True).items()} == written


def test_what_changed_in_the_store_is_made_again(store, folder, made):
    run()
    store.put_file(str(folder / "a.mp4"), "site/videos/b.mkv")
    report = run()
    assert (report.done, report.reused) == (1, len(NAMES) - 1)
    assert read_passport("s3://site/out/rgb/b.mkv.safetensors").source == read_passport(
        "s3://site/out/rgb/a.mp4.safetensors"
    ).source  # fmt: skip


def test_frames_of_an_object_are_those_of_the_file(store, folder, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 512)  # so that blocks come and go
    for name in NAMES:
        with VideoReader(folder / name) as here, VideoReader(f"s3://site/videos/{name}") as there:
            assert there.info.rate == here.info.rate
            pairs = [(a.time, a.array(), b.time, b.array()) for a, b in zip(here, there, strict=True)]
        assert all(a == b and np.array_equal(x, y) for a, x, b, y in pairs)


def test_a_store_that_throttles_cuts_and_loses_ends_with_a_complete_set(store, proxy, made):
    kinds = {7: "busy", 5: "cut", 11: "lost"}

    def fault(number, method, path):
        kind = next((kind for each, kind in kinds.items() if number % each == 0), "")
        return "" if kind == "cut" and method != "GET" else kind

    proxy.fault = fault
    report = run()
    assert report.failed == {} and report.done == len(NAMES)
    assert set(proxy.faults) == {"busy", "cut", "lost"}
    proxy.well()
    assert features(store) == made


@pytest.mark.parametrize(("fault", "words"), [("busy", "too busy"), ("lost", "times in a row"), ("denied", "denied")])
def test_a_store_that_never_does_it_is_one_line_that_names_the_url(store, proxy, capfd, fault, words):
    proxy.fault = lambda *_: fault
    assert main(["extract", "s3://site/videos", "--rgb", "motion", "--out", "s3://site/out", "--workers", "0"]) == 1
    said = capfd.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert "s3://site/" in said and words in said and "; " in said
    assert KEY not in said and SECRET not in said


def test_one_video_that_is_denied_costs_that_video(store, proxy, made):
    proxy.fault = lambda number, method, path: "denied" if method == "GET" and "b.mkv" in path else ""
    report = run()
    assert list(report.failed) == ["b.mkv"]
    assert report.failed["b.mkv"].startswith("s3://site/videos/b.mkv: access is denied")
    assert features(store) == {name: data for name, data in made.items() if "b.mkv" not in name}


def test_an_output_that_is_denied_ends_it_in_a_line(store, proxy):
    proxy.fault = lambda number, method, path: "denied" if method == "PUT" else ""
    with pytest.raises(WsvadError, match=r"^[^\n]*: s3://site/out/rgb/[^\n]*: access is denied; [^\n]*$"):
        run()


def test_a_video_that_is_deleted_after_the_listing_is_named(store, made):
    found = videos_in([place("s3://site/videos")])
    store.rm_file("site/videos/a.mp4")
    report = extract(found, {"rgb": "means"}, place("s3://site/out"), workers=0, builder="clips:build")
    assert list(report.failed) == ["a.mp4"]
    assert report.failed["a.mp4"] == "s3://site/videos/a.mp4: there is no such video file"
    assert features(store) == {name: data for name, data in made.items() if "a.mp4" not in name}


def test_a_video_that_is_replaced_while_it_is_read_is_not_believed(store, folder):
    last = NAMES[-1]

    def replaced(count):
        store.put_file(str(folder / "a.mp4"), f"site/videos/{last}")

    path, encoders = place(f"s3://site/videos/{last}"), {"rgb": clips.build("means")}
    with pytest.raises(WsvadError, match=f"^s3://site/videos/{last}: has changed while it was read; [^\n]*$"):
        encode_video(path, encoders, replaced)
    assert encode_video(path, encoders)["rgb"].passport.source == sha256(folder / "a.mp4")


def test_killed_in_mid_upload_nothing_is_there_and_the_next_run_completes_it(store, proxy, made):
    script = "from stores import run; run()"
    proxy.fault = lambda number, method, path: "stall" if method == "PUT" else ""
    env = os.environ | {
        "AWS_ENDPOINT_URL": proxy.url,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
    }
    process = subprocess.Popen([sys.executable, "-c", script], env=env, stderr=subprocess.DEVNULL)
    try:
        assert proxy.stalled.wait(60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    proxy.well()
    assert store.find("site/out") == []
    run()
    assert features(store) == made


def test_features_are_read_through_a_cache_that_is_bounded(store, made, tmp_path, monkeypatch):
    run()
    paths = [place(f"s3://site/out/{name}") for name in made]
    each = max(map(len, made.values()))
    monkeypatch.setenv("WSVAD_CACHE_GB", f"{2 * each / 2**30:.9f}")
    for path, data in zip(paths, made.values(), strict=True):
        assert path.local().read_bytes() == data
        assert (
            sum(file.stat().st_size for file in (tmp_path / "cache/wsvad/objects").rglob("*.safetensors")) <= 2 * each
        )
    monkeypatch.setenv("WSVAD_CACHE_GB", "0.000000001")
    with pytest.raises(WsvadError, match="larger than the cache"):
        paths[0].local()
    monkeypatch.setenv("WSVAD_CACHE_GB", "much")
    with pytest.raises(UsageError, match="WSVAD_CACHE_GB much"):
        paths[0].local()


def test_a_copy_in_the_cache_is_never_that_of_an_object_before(store, made):
    run()
    first, second = (place(f"s3://site/out/rgb/{name}.safetensors") for name in ("a.mp4", "b.mkv"))
    before = load(first).features
    store.copy(second.key, first.key)
    assert len(load(first).features) != len(before)


def test_an_object_that_is_replaced_while_it_is_fetched_is_not_kept_as_the_one_before(store, proxy, tmp_path):
    store.pipe_file("site/one", b"before")
    path = place("s3://site/one")

    def fault(number, method, of):
        if method == "GET" and of.endswith("/site/one"):
            proxy.well()
            store.pipe_file("site/one", b"behind")
        return ""

    proxy.fault = fault
    with pytest.raises(WsvadError, match=r"^s3://site/one: has changed while it was read; [^\n]*$"):
        path.local()
    assert not list((tmp_path / "cache/wsvad/objects").rglob("one"))
    assert path.local().read_bytes() == b"behind"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Six labelled videos on this machine; in the abnormal ones something crosses the scene."""
    root = tmp_path_factory.mktemp("site") / "labelled"
    root.mkdir()
    rows = ["video,label,split"]
    for i, (name, moving) in enumerate(
        [("n", False), ("m", False), ("o", False), ("f", True), ("g", True), ("h", True)]
    ):
        noise = np.random.default_rng(i)
        write_clip(root / f"{name}.mp4", [clips.scene(k, moving and k > 16, noise) for k in range(48)])
        rows.append(f"{name}.mp4,{int(moving)},{'test' if name in 'oh' else 'train'}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def test_fit_and_train_and_score_read_from_a_store_what_they_read_from_a_folder(store, labelled, tmp_path, capfd):
    for path in labelled.iterdir():
        store.put_file(str(path), f"site/labelled/{path.name}")
    brief = ["--method", "linear", "--hold-out", "0", "--seeds", "1", "--config.iterations", "9"]
    both = {"here": str(labelled), "there": "s3://site/labelled"}
    features = {"here": str(tmp_path / "f"), "there": "s3://site/f"}
    for where, data in both.items():
        assert main(["extract", data, "--rgb", "motion", "--out", features[where], "--workers", "0"]) == 0
    assert main(["fit", both["there"], *brief, "--features", features["there"], "--out", str(tmp_path / "fit")]) == 0
    here, there = open_features(Path(features["here"])), open_features(place(features["there"]))
    for name in (path.name for path in labelled.glob("*.mp4")):
        assert there.has(name, "rgb") and there.shape(name, "rgb") == here.shape(name, "rgb")
        assert np.array_equal(there.load(name, "rgb").features, here.load(name, "rgb").features)
        assert there.passport(name, "rgb") == here.passport(name, "rgb")
        assert there.content(name, "rgb") == here.content(name, "rgb")
    assert (
        main(["train", both["there"], *brief, "--rgb", "motion", "--workers", "0", "--out", str(tmp_path / "run")]) == 0
    )
    for where, data in both.items():
        assert main(["score", data, "--model", str(tmp_path / "run"), "--out", str(tmp_path / where)]) == 0
    assert (tmp_path / "there/scores.csv").read_bytes() == (tmp_path / "here/scores.csv").read_bytes()
    assert not list((tmp_path / "cache").rglob("*.mp4"))  # videos are read where they are
    said = "".join(capfd.readouterr())
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 20 and SECRET not in said and KEY not in said
    for path in written:
        data = path.read_bytes()
        assert SECRET.encode() not in data and KEY.encode() not in data


def test_features_that_are_nowhere_are_named_by_their_url(store, labelled, tmp_path, capfd):
    assert main(["fit", str(labelled), "--features", "s3://site/none", "--out", str(tmp_path / "run")]) == 1
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert "s3://site/none/rgb/" in said and "wsvad extract" in said
    assert main(["fit", str(labelled), "--features", str(tmp_path), "--out", "s3://site/run"]) == 2
    assert "s3://site/run: only features are written to a store" in capfd.readouterr().err
