"""The webhook against real servers on loopback, checked as the Standard Webhooks specification says."""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time

import pytest
from alerts import JPEG, alert, server

from wsvad.database import Database
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.http import host_of
from wsvad.sinks.outbox import TABLES, Outbox
from wsvad.sinks.sink import Rejected
from wsvad.sinks.webhook import Webhook, WebhookConfig, signed


def test_an_alert_arrives_with_its_picture_and_a_proof_of_who_sent_it(monkeypatch):
    key = base64.b64encode(bytes(range(32))).decode()
    monkeypatch.setenv("HOOK_SECRET", f"whsec_{key}")
    with server() as received:
        Webhook(WebhookConfig(url=f"{received.url}/hook?a=b", secret="${HOOK_SECRET}")).deliver(alert("e1"))
    ((method, path, headers, body),) = received.requests
    assert (method, path) == ("POST", "/hook?a=b")
    assert headers["content-type"] == "application/json; charset=utf-8" and headers["webhook-id"] == "e1-start"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    message = f"e1-start.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.digest(bytes(range(32)), message, hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    record = json.loads(body)
    still = record.pop("still")
    assert record == alert("e1").as_dict()
    assert (still["type"], base64.b64decode(still["base64"])) == ("image/jpeg", JPEG)


def test_the_specifications_own_example():
    """From its text: id, timestamp, payload, secret and signature."""
    headers = signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1614265330
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_it_is_not_signed_and_without_a_picture_it_is_null():
    with server() as received:
        Webhook(WebhookConfig(url=received.url)).deliver(alert(still=None))
    assert "webhook-signature" not in received.requests[0][2] and received.json[0]["still"] is None


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (500, WsvadError, "answered 500, Internal Server Error (it is <b>broken</b>)"),
        (401, WsvadError, "answered 401, it wants another password or token ("),
        (404, WsvadError, "answered 404, there is nothing at this address ("),
        (429, WsvadError, "answered 429, Too Many Requests ("),
        (302, WsvadError, "answered 302, it moved; give the new address ("),
        (413, Rejected, "answered 413, "),
        (422, Rejected, "answered 422, "),
    ],
)
def test_what_a_server_refuses_is_said_with_its_words_and_tried_again_unless_that_is_in_vain(status, kind, said):
    answer = status, {"Location": "http://127.0.0.1:9/"}, b"it is\n <b>broken</b>"
    with server(lambda *_: answer) as received, pytest.raises(WsvadError) as raised:
        Webhook(WebhookConfig(url=f"{received.url}/secret-path")).deliver(alert())
    assert isinstance(raised.value, Rejected) == (kind is Rejected) and said in str(raised.value)
    assert "secret-path" not in str(raised.value) and len(received.requests) == 1


def test_a_server_that_fails_at_first_gets_every_alert(tmp_path):
    def answers(method, path, headers, body):
        return (503 if len(received.requests) % 3 else 200), {}, b""

    with server(answers) as received:
        database = Database(tmp_path / "d", [TABLES])
        outbox = Outbox(database, {"hook": Webhook(WebhookConfig(url=received.url))}, first=0.001, longest=0.01)
        outbox.start()
        for number in range(5):
            outbox.put(alert(f"e{number}"))
        assert outbox.drained(60)
        outbox.stop()
    taken = [headers["webhook-id"] for number, (_, _, headers, _) in enumerate(received.requests, 1) if not number % 3]
    assert sorted(taken) == [f"e{number}-start" for number in range(5)]


def test_nobody_there_nobody_answers_and_no_web_server(monkeypatch):
    monkeypatch.setattr("wsvad.sinks.http.TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(WsvadError, match=rf"^127.0.0.1:{port}: no answer within 0.1 s$"):
            Webhook(WebhookConfig(url=f"http://127.0.0.1:{port}/x")).deliver(alert())
    with pytest.raises(WsvadError, match=rf"^127.0.0.1:{port}: cannot be reached \(Connection refused\)$"):
        Webhook(WebhookConfig(url=f"http://me:pw@127.0.0.1:{port}/x")).deliver(alert())
    with socket.create_server(("127.0.0.1", 0)) as odd:
        port = odd.getsockname()[1]

        def talk():
            connection = odd.accept()[0]
            connection.recv(65536)
            connection.sendall(b"220 mail\r\n\r\n")
            connection.close()

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(WsvadError, match=rf"^127.0.0.1:{port}: does not answer as a web server does"):
            Webhook(WebhookConfig(url=f"http://127.0.0.1:{port}/x")).deliver(alert())


def test_a_login_in_the_address_is_sent_as_one_and_odd_letters_are_encoded():
    with server() as received:
        url = received.url.replace("//", "//me:p%40ss@")
        Webhook(WebhookConfig(url=f"{url}/Tür/%41?x=門&y=1")).deliver(alert())
    ((_, path, headers, _),) = received.requests
    assert path == "/T%C3%BCr/%41?x=%E9%96%80&y=1"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"me:p@ss"


@pytest.mark.parametrize(
    "url", ["", "gate", "http://", "http:///x", "ftp://host/x", "https://a b/", "http://[::1", "http://h:x/"]
)
def test_an_address_that_is_none_is_said_at_once(url):
    with pytest.raises(UsageError, match="url: not an address"):
        Webhook(WebhookConfig(url=url))


def test_hosts():
    assert host_of("https://me:pw@[::1]:8/x?token=y") == "::1:8" and host_of("http://Cam.local/") == "cam.local"


def test_a_broken_secret_and_one_that_is_missing_are_said(monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with server() as received:
        for secret, said in (("whsec_%%%", "secret: not base64 after 'whsec_'"), ("${NOT_SET}", "NOT_SET is not set")):
            with pytest.raises(WsvadError, match=said):
                Webhook(WebhookConfig(url=received.url, secret=secret)).deliver(alert())
    assert received.requests == []


def test_a_certificate_that_does_not_fit_is_said_and_one_that_is_given_is_believed(certificate, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with server(wrap=lambda sock: context.wrap_socket(sock, server_side=True)) as received:
        with pytest.raises(WsvadError, match=r"its certificate does not fit \(self-signed certificate\); give"):
            Webhook(WebhookConfig(url=received.url)).deliver(alert())
        Webhook(WebhookConfig(url=received.url, ca=str(certificate / "cert.pem"))).deliver(alert())
        assert len(received.requests) == 1
        other = received.url.replace("127.0.0.1", "localhost")
        with pytest.raises(WsvadError, match="its certificate does not fit"):
            Webhook(WebhookConfig(url=other, ca=str(certificate / "cert.pem"))).deliver(alert())
    with server() as plain, pytest.raises(WsvadError, match="no secure connection"):
        Webhook(WebhookConfig(url=plain.url.replace("http", "https"))).deliver(alert())
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "missing.pem"):
        with pytest.raises(WsvadError, match=r"no certificate in it .*; give a PEM file"):
            Webhook(WebhookConfig(url="https://h/", ca=str(path)))
