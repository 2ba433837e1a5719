"""What is a place in a store, what a path of this machine; and what is said of a store that does not do its work."""

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.cluster import _marked
from wsvad.features.source import open_features
from wsvad.files import atomic, check_writable, is_file, overlong
from wsvad.runs.folder import RunFolder
from wsvad.storage import Remote, StorageError, asking, content_hash, place


@pytest.mark.parametrize(
    "given", ["videos", "/data/a b.mp4", "C:/videos", "ucf-crime:/data/ucf", "rgb=/a,audio=b", "a:b"]
)
def test_paths_of_this_machine_are_what_they_were(given):
    assert place(given) == Path(given) and type(place(given)) is type(Path(given))
    assert place(Path(given)) == Path(given)


def test_a_path_of_this_machine_needs_no_library_of_stores():
    script = "import sys, wsvad.files, wsvad.video.reader as r; r.place('a.mp4'); print('fsspec' in sys.modules)"
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    assert subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True).stdout == "False\n"


def test_a_file_url_is_a_path():
    assert place("file:///data/a%20b.mp4") == place(Path("file:///data/a%20b.mp4")) == Path("/data/a b.mp4")


@pytest.mark.parametrize("url", ["s3://bucket/a/b c.mp4", "gs://bucket/ä.mp4", "az://container/x/y.mkv", "s3://bucket"])
def test_a_url_survives_whatever_happens_to_a_path(url):
    path = place(url)
    assert isinstance(path, Remote) and str(path) == url
    for same in (place(Path(url)), place(str(path)), pickle.loads(pickle.dumps(path)), path.absolute(), path.resolve()):
        assert same == path and str(same) == url and isinstance(same, Remote)
    assert str(path / "rgb" / "a.safetensors") == f"{url}/rgb/a.safetensors"
    assert (path / "gate/a.mp4").relative_to(path).as_posix() == "gate/a.mp4"
    assert path.key == url.partition("://")[2]


SECRETS = [
    "s3://AKIDEXAMPLE:topsecret@bucket/videos", "s3://topsecret@bucket", "az://c/v?sv=2&sig=topsecret",
    "gs://b/v?X-Goog-Signature=topsecret", "s3://b/v.mp4?AWSAccessKeyId=1&Signature=topsecret",
    "https://user:topsecret@host/x",
]  # fmt: skip


@pytest.mark.parametrize("url", SECRETS)
@pytest.mark.parametrize("form", [str, Path])
def test_credentials_in_a_url_are_refused_and_not_repeated(url, form):
    with pytest.raises(UsageError) as error:
        place(form(url))
    assert "topsecret" not in str(error.value) and "AKID" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [("ftp://host/x", "ftp://…: nothing is read"), ("gcs://b/x", "write gs://"), ("s3a://b/x", "write s3://"),
     ("rtsp://host/x", "rtsp://…"), ("s3://", "names no bucket")],
)  # fmt: skip
def test_other_urls_are_refused_in_a_line(url, words):
    with pytest.raises(UsageError, match=words):
        place(Path(url) if url != "s3://" else url)


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")]
)
def test_an_extra_that_is_missing_is_named(scheme, module, extra, monkeypatch):
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, scheme, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    asking.store_of.cache_clear()
    with pytest.raises(UsageError, match=rf"^{scheme}://: needs another package; pip install 'wsvad\[{extra}\]'$"):
        is_file(place(f"{scheme}://bucket/a.mp4"))
    asking.store_of.cache_clear()


class Broken:
    """A store that raises the same again and again."""

    def __init__(self, error):
        self.error, self.asked = error, 0

    def info(self, key):
        self.asked += 1
        raise self.error


def broken(monkeypatch, error):
    store = Broken(error)
    monkeypatch.setattr(asking, "store_of", lambda scheme: store)
    monkeypatch.setattr(asking, "WAIT", 0.0)
    return store


def of_google(code):
    """As gcsfs has it."""
    error = OSError("the token is topsecret")
    error.code = code
    return error


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "words", "again"),
    [
        (of_google(429), "too busy", True),
        (of_google(503), "too busy", True),
        (of_google(403), "access is denied", False),
        (of_google(401), "GOOGLE_APPLICATION_CREDENTIALS", False),
        (NoCredentialsError("topsecret"), "no credentials are found", False),
        (TimeoutError("topsecret"), "no answer in time", True),
        (ConnectionRefusedError("topsecret"), "no connection", True),
        (RuntimeError("topsecret"), "the store fails", True),
        (MemoryError(), "not enough memory", False),
    ],
)
def test_each_error_of_a_store_is_a_line_of_its_own(monkeypatch, error, words, again):
    store = broken(monkeypatch, error)
    with pytest.raises(StorageError, match=words) as raised:
        place("gs://bucket/a.mp4").is_file()
    said = str(raised.value)
    assert said.startswith("gs://bucket/a.mp4: ") and "\n" not in said and "topsecret" not in said
    assert store.asked == (asking.TRIES if again else 1)


def test_what_is_not_there_is_no_error(monkeypatch):
    store = broken(monkeypatch, FileNotFoundError("x"))
    path = place("s3://bucket/a.mp4")
    assert not is_file(path) and not is_file(str(path)) and not path.is_dir() and not path.exists()
    assert store.asked == 5
    with pytest.raises(WsvadError, match=r"^s3://bucket/a.mp4: no such file|there is no such"):
        content_hash(path) if is_file(path) else check(path)


def check(path):
    from wsvad.video.reader import VideoReader

    VideoReader(path)


def test_runs_and_other_folders_stay_on_this_machine():
    for refused in (RunFolder, check_writable):
        with pytest.raises(UsageError, match=r"^s3://bucket/run: only features are written to a store"):
            refused(place("s3://bucket/run"))
    with pytest.raises(WsvadError, match="copy them to a local folder"):
        open_features(Path("rgb=s3://bucket/i3d"))
    assert "key of" in overlong(place("s3://bucket/" + "a" * 1100)) and not overlong(place("s3://bucket/a"))


class Kept:
    """A store in memory."""

    def __init__(self):
        self.there = {}

    def put_file(self, file, key):
        self.there[key] = Path(file).read_bytes()

    def pipe_file(self, key, data):
        self.there[key] = data

    def rm_file(self, key):
        del self.there[key]

    def info(self, key):
        if key not in self.there:
            raise FileNotFoundError(key)
        return {"type": "file", "size": len(self.there[key]), "ETag": "1", "name": key}


def test_what_is_written_appears_whole_or_not_at_all(monkeypatch, tmp_path):
    store = Kept()
    monkeypatch.setattr(asking, "store_of", lambda scheme: store)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = place("s3://bucket/a.txt")
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert store.there == {}
    with atomic(path) as temporary:
        temporary.write_text("whole")
        assert store.there == {}
    assert store.there == {"bucket/a.txt": b"whole"}
    assert list((tmp_path / "wsvad" / "part").iterdir()) == []


def test_nodes_of_a_cluster_see_a_mark_in_the_store(monkeypatch):
    store = Kept()
    monkeypatch.setattr(asking, "store_of", lambda scheme: store)
    with _marked(place("s3://bucket/out")) as seen:
        assert is_file(pickle.loads(pickle.dumps(seen)).mark)
    assert store.there == {}
