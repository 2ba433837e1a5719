"""The one download: what a hub on this machine offers is shown, asked about, and checked."""

import hashlib
import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from wsvad.cli.main import main
from wsvad.encoders.hf.files import find
from wsvad.encoders.hf.get import in_units, offer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "vit"}',
    "preprocessor_config.json": b"{}",
    "vocab.txt": b"a\nb\n",
    "model.safetensors": bytes(range(256)) * 40,
    "model.fp16.safetensors": b"another",
    "pytorch_model.bin": b"pickled",
    "modeling_mine.py": b"import os",
    "onnx/model.onnx": b"graph",
    "sub/config.json": b"{}",
    "README.md": b"hello",
}
TAKEN = {"config.json", "preprocessor_config.json", "vocab.txt", "model.safetensors"}


class Hub(ThreadingHTTPServer):
    """As much of a hub as a download asks for. It counts what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = dict(FILES)
        self.sent = dict[str, bytes]()
        """What is given in place of a file."""
        self.headers = dict[str, str]()
        """Sent with every file, whatever the truth."""
        self.endless = False
        self.licence: str | None = "apache-2.0"
        self.asked: list[str] = []

    def about(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            lfs = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 100}
            extra = {"lfs": lfs} if name.endswith((".safetensors", ".bin")) else {}
            siblings.append({"rfilename": name, "size": len(content), "blobId": "b" * 40, **extra})
        card = {"cardData": {"license": self.licence}} if self.licence else {}
        return {"id": "org/net", "sha": COMMIT, "siblings": siblings, **card}


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *words: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path, headers = self.path.partition("?")[0], {}
        self.server.asked.append(f"{self.command} {path}")
        if path in ("/api/models/org/net/revision/main", "/api/models/org/net/revision/v1"):
            content, status = json.dumps(self.server.about()).encode(), 200
        elif path.startswith(f"/org/net/resolve/{COMMIT}/"):
            name = path.partition(f"{COMMIT}/")[2]
            content, status = self.server.sent.get(name, self.server.files[name]), 200
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            headers |= self.server.headers
            status = 302 if "Location" in headers else 200
        else:
            content, status = b"", 403 if "gated" in path else 404
            code = "GatedRepo" if "gated" in path else "RevisionNotFound" if "org/net" in path else "RepoNotFound"
            headers = {"X-Error-Code": code}
        self.send_response(status)
        endless = self.server.endless and "resolve" in path
        for key, value in (headers | ({} if endless else {"Content-Length": str(len(content))})).items():
            self.send_header(key, value)
        self.end_headers()
        with suppress(OSError):  # who asked has gone
            while body:
                self.wfile.write(content)
                body = endless


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    yield server
    server.shutdown()
    server.server_close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_offered_is_downloaded_once_and_found(hub: Hub, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["encoders", "--get", "org/net", "--yes"]) == 0
    shown = capsys.readouterr()
    assert hashlib.sha256(FILES["model.safetensors"]).hexdigest() in shown.out
    assert f"org/net, commit {COMMIT[:12]}, licence: apache-2.0; 10.0 kB in all" in shown.out
    assert "Use it as hf:org/net" in shown.err
    folder = find("org/net")
    assert folder == tmp_path / "hub" / "models--org--net" / "snapshots" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {name: FILES[name] for name in TAKEN}

    asked = len(hub.asked)
    assert main(["encoders", "--get", "org/net@v1"]) == 0  # nobody is asked: all of it is there
    assert hub.asked[asked:] == ["GET /api/models/org/net/revision/v1"]
    assert "already" in capsys.readouterr().err
    assert find("org/net@v1") == find("org/net") == folder


@pytest.mark.parametrize(
    ("said", "taken"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_it_asks(said: str, taken: bool, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any):
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    assert main(["encoders", "--get", "org/net"]) == 0
    assert (tmp_path / "hub" / "models--org--net").exists() == taken
    assert ("Nothing was downloaded" in capsys.readouterr().err) != taken
    assert any("resolve" in one for one in hub.asked) == taken


def test_without_a_terminal_it_says_how(hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["encoders", "--get", "org/net"]) == 2
    assert "add --yes" in capsys.readouterr().err and not (tmp_path / "hub").exists()


def test_weights_in_parts(hub: Hub):
    weights = hub.files.pop("model.safetensors")
    parts = {f"model-0000{i}-of-00002.safetensors": weights[i:] for i in (1, 2)}
    hub.files |= parts | {"model.safetensors.index.json": b"{}", "model-00001-of-00002.bin": b""}
    names = [piece.name for piece in offer("org/net").pieces]
    assert set(names) == (TAKEN - {"model.safetensors"}) | set(parts) | {"model.safetensors.index.json"}
    assert len(names) == len(set(names))


def test_a_file_that_is_not_what_was_offered_is_not_kept(hub: Hub, capsys: Any, tmp_path: Path):
    hub.sent["model.safetensors"] = b"something else, as long as that"
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "org/net: " in capsys.readouterr().err
    assert not list((tmp_path / "hub").rglob("model.safetensors"))
    assert hashlib.sha256(hub.sent["model.safetensors"]).hexdigest() not in {p.name for p in tmp_path.rglob("*")}
    del hub.sent["model.safetensors"]
    assert main(["encoders", "--get", "org/net", "--yes"]) == 0
    assert (find("org/net") / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_a_hub_does_not_say_where_files_go(hub: Hub, tmp_path: Path):
    """A name that a header gives, which the hub's library would write to."""
    hub.headers = {"ETag": f'"{tmp_path / "taken" / "here"}"', "X-Linked-Etag": '"../../../taken"'}
    assert main(["encoders", "--get", "org/net", "--yes"]) == 0
    snapshot = f"hub/models--org--net/snapshots/{COMMIT}"
    assert files_of(tmp_path) == {f"{snapshot}/{name}" for name in TAKEN} | {"hub/models--org--net/refs/main"}


def test_no_more_is_taken_than_was_offered(hub: Hub, capsys: Any, tmp_path: Path):
    hub.endless = True
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "config.json is not what the hub offered (more than 21 bytes, not 21)" in capsys.readouterr().err
    assert not files_of(tmp_path)
    hub.endless, hub.sent = False, {"config.json": b"{}"}
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "(2 bytes, not 21)" in capsys.readouterr().err and not files_of(tmp_path)


def test_a_redirect_leads_to_no_file(hub: Hub, capsys: Any, tmp_path: Path):
    (tmp_path / "secret").write_bytes(FILES["config.json"])
    hub.headers = {"Location": f"file://{tmp_path / 'secret'}"}
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "cannot be downloaded" in line and files_of(tmp_path) == {"secret"}


@pytest.mark.parametrize(
    "wrong",
    [{"rfilename": 7}, {"size": "x"}, {"size": -5}, {"size": None, "lfs": None}, {"lfs": {"sha256": 3}}, {"lfs": "x"}],
)
def test_a_hub_that_tells_nonsense_is_told_in_a_line(hub: Hub, monkeypatch: Any, capsys: Any, wrong: dict[str, Any]):
    about = hub.about()
    about["siblings"][3] |= wrong
    monkeypatch.setattr(hub, "about", lambda: about)
    about["cardData"] = {"license": ["mit", "x" * 10_000]}
    code, said = main(["encoders", "--get", "org/net", "--yes"]), capsys.readouterr().err
    assert code == 0 or (code == 1 and said.startswith("wsvad: org/net: ") and said.count("\n") == 1)


@pytest.mark.parametrize(
    ("model", "code", "told"),
    [
        ("org/none", 1, "no such model"),
        ("org/net@v2", 1, "no such revision"),
        ("org/gated", 1, "accept their terms"),
        ("../net", 2, "give a model as ORG/NAME"),
        ("a/b/c", 2, "give a model as ORG/NAME"),
        ("org/net@../../x", 2, "give a model as ORG/NAME"),
        ("", 2, "give a model as ORG/NAME"),
    ],
)
def test_names_that_are_none(model: str, code: int, told: str, hub: Hub, capsys: Any):
    assert main(["encoders", "--get", model, "--yes"]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line and "Traceback" not in line


def test_a_model_without_safetensors(hub: Hub, capsys: Any):
    del hub.files["model.safetensors"]
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "without model.safetensors; weights in other formats can run code" in capsys.readouterr().err
    hub.files = {"model.safetensors": b""}
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "without config.json" in capsys.readouterr().err


def test_no_licence_is_said(hub: Hub):
    hub.licence = None
    assert offer("org/net").licence == "not stated"
    hub.licence = "m\x1b[31mit\n"
    assert offer("org/net").licence == "m\\x1b[31mit\\n"


def test_no_hub_and_no_room(hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    hub.files["model.safetensors"] = b"1"
    about = hub.about()
    about["siblings"][3]["size"] = 2**60
    monkeypatch.setattr(hub, "about", lambda: about)
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "org/net takes 1,073,741,824.0 GB and" in capsys.readouterr().err
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert main(["encoders", "--get", "org/net", "--yes"]) == 1
    assert "cannot be downloaded from http://127.0.0.1:1" in capsys.readouterr().err
    assert main(["encoders", "--yes"]) == 2


def test_sizes_as_people_read_them():
    assert [in_units(size) for size in (0, 1536, 2**20, 5 * 2**30)] == ["0.0 kB", "1.5 kB", "1.0 MB", "5.0 GB"]
