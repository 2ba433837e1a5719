"""The MQTT sink at a real broker, and the message by which Home Assistant makes a device of a camera."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from alerts import JPEG, alert, wait_for
from brokers import Listener, broker, free_port, kept, needs_mosquitto

from wsvad.database import Database
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.home_assistant import Topics, discovery, event_types, plain_name
from wsvad.sinks.mqtt import Mqtt, MqttConfig
from wsvad.sinks.outbox import TABLES, Outbox, status
from wsvad.sinks.sink import CameraState

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra 'live')")

# --------------------------------------------------------------------------------------------------- discovery

AVAILABILITY = {"topic", "payload_available", "payload_not_available", "value_template"}
DEVICE = {
    "identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number",
    "sw_version", "via_device", "suggested_area", "configuration_url",
}  # fmt: skip
SHARED = {
    "availability", "availability_mode", "availability_template", "availability_topic", "command_topic",
    "payload_available", "payload_not_available", "state_topic", "qos", "encoding",
}  # fmt: skip
COMMON = SHARED - {"command_topic"} | {
    "platform", "unique_id", "default_entity_id", "name", "icon", "entity_picture", "enabled_by_default",
    "entity_category", "json_attributes_topic", "json_attributes_template", "group",
}  # fmt: skip
PLATFORMS = {
    "event": ({"event_types", "state_topic"}, {"device_class", "value_template"}),
    "binary_sensor": (
        {"state_topic"},
        {"device_class", "expire_after", "force_update", "off_delay", "payload_on", "payload_off", "value_template"},
    ),
    "sensor": (
        {"state_topic"},
        {
            "device_class", "expire_after", "force_update", "last_reset_value_template", "options", "state_class",
            "suggested_display_precision", "unit_of_measurement", "value_template",
        },
    ),
    "image": ({"image_topic"}, {"content_type", "image_encoding"}),
}  # fmt: skip
"""Of Home Assistant's schemas (homeassistant/components/mqtt): what a platform must and may have beside `COMMON`."""
BINARY_SENSORS = {"problem", "safety", "motion", "occupancy", "tamper"}
TOPIC = re.compile(r"homeassistant/device/[a-zA-Z0-9_-]+/config")


def check_device(topic: str, message: dict) -> None:
    """As Home Assistant checks it."""
    assert TOPIC.fullmatch(topic)
    assert set(message) <= {"device", "origin", "components"} | SHARED
    assert set(message["device"]) <= DEVICE and message["device"]["identifiers"]
    assert "name" in message["origin"] and set(message["origin"]) <= {"name", "sw_version", "support_url"}
    assert message["availability_mode"] in ("all", "any", "latest")
    assert all("topic" in one and set(one) <= AVAILABILITY for one in message["availability"])
    unique = [component["unique_id"] for component in message["components"].values()]
    assert len(unique) == len(set(unique))
    for component in message["components"].values():
        required, optional = PLATFORMS[component["platform"]]
        assert required <= set(component) <= required | optional | COMMON
        domain, _, name = component["default_entity_id"].partition(".")
        assert domain == component["platform"] and re.fullmatch(r"[a-z0-9_]+", name)
        assert component.get("device_class") in BINARY_SENSORS | {None}
        for key in component:
            if key.endswith("_topic"):
                assert not re.search(r"[+#\0]", component[key])


@pytest.mark.parametrize("camera", ["gate", "Front Gate", "Tor/Süd", "門", "a+b#", "x" * 300])
def test_the_discovery_message_has_the_published_fields(camera):
    topics = Topics(base="wsvad/site", camera=camera)
    message = discovery(topics, event_types(("fighting", "anomaly")), "gate-run")
    check_device(topics.discovery("homeassistant"), json.loads(json.dumps(message)))
    assert message["device"]["name"] == camera
    assert message["components"]["event"]["event_types"] == [
        "anomaly", "fighting", "frozen", "black", "moved", "offline",
    ]  # fmt: skip


def test_names_in_topics_are_plain_and_tell_cameras_apart():
    assert plain_name("Front Gate-2") == "front_gate_2"
    odd = ["gäte", "gate!", "ga/te", "門", "园", "gate\udcff", "a--b", "a b", "", "-"]
    found = [plain_name(name) for name in odd]
    assert len(set(found)) == len(odd) and all(re.fullmatch(r"[a-z0-9_]+", name) for name in found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "http://h"}, "url: not an address with a host; write it as mqtt or mqtts://HOST:PORT/"),
        ({"url": "mqtt://me:pw@h"}, "'user' and 'password' are settings of their own"),
        ({"url": "mqtt://h/topic"}, "write it as mqtt://HOST:PORT;"),
        ({"url": "mqtt://h", "topic": "a/#"}, r"topic 'a/#': write words with / between them, without \+ and #"),
        ({"url": "mqtt://h", "topic": ""}, "topic ''"),
        ({"url": "mqtt://h", "discovery": "/x"}, "discovery '/x'"),
    ],
)
def test_settings_that_cannot_be_are_said_at_once(settings, said):
    with pytest.raises(UsageError, match=said):
        Mqtt(MqttConfig(**settings))


# ----------------------------------------------------------------------------------------------------- a broker


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with broker(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def listener(port):
    found = Listener(port)
    yield found
    found.close()


def sink_at(port, **settings):
    return Mqtt(MqttConfig(url=f"mqtt://127.0.0.1:{port}", **settings))


@needs_mosquitto
def test_a_camera_becomes_a_device_and_its_event_goes_through_all_of_it(port, listener):
    sink = sink_at(port, topic="wsvad/one")
    sink.show(CameraState(camera="Front Gate", online=True, categories=("fighting", "falling"), run="gate-run"))
    sink.open()
    own = "wsvad/one/front_gate"
    topic = "homeassistant/device/wsvad_one_front_gate/config"
    wait_for(lambda: listener.last(f"{own}/anomaly") == b"OFF")
    check_device(topic, json.loads(listener.last(topic)))
    assert (listener.last("wsvad/one/available"), listener.last(f"{own}/available")) == (b"online", b"online")
    start, end = alert("e1", camera="Front Gate"), alert("e1", "end", camera="Front Gate")
    sink.deliver(start)
    wait_for(lambda: listener.last(f"{own}/alert"))
    assert listener.last(f"{own}/anomaly") == b"ON" and listener.last(f"{own}/image") == JPEG
    event = json.loads(listener.last(f"{own}/event"))
    assert event.pop("event_type") == "fighting" and event == start.as_dict()
    assert len(listener.all(topic)) == 1
    sink.deliver(end)
    wait_for(lambda: len(listener.all(f"{own}/alert")) == 2)
    assert listener.last(f"{own}/anomaly") == b"OFF" and len(listener.all(f"{own}/event")) == 1
    assert json.loads(listener.last(f"{own}/alert")) == end.as_dict()
    states = {name: value for name, value in kept(port, f"{own}/anomaly").items() if name.startswith("wsvad/one")}
    assert set(states) == {"wsvad/one/available", *(f"{own}/{what}" for what in ("available", "anomaly", "image"))}
    sink.close()
    wait_for(lambda: listener.last("wsvad/one/available") == b"offline")


@needs_mosquitto
def test_a_category_that_comes_up_later_is_discovered_before_its_event_and_a_fault_is_no_anomaly(port, listener):
    sink = sink_at(port, topic="wsvad/two")
    sink.open()
    sink.deliver(alert("e1", category="climbing"))
    sink.deliver(alert("e2", kind="frozen", category=""))
    sink.show(CameraState(camera="gate", online=True, categories=("fighting",), run="gate-run"))
    sink.show(CameraState(camera="gate", online=True, categories=("fighting",), run="gate-run"))
    sink.deliver(alert("e3", category="fighting"))
    wait_for(lambda: len(listener.all("wsvad/two/gate/alert")) == 3)
    topic = "homeassistant/device/wsvad_two_gate/config"
    order = [(name, payload) for name, payload, _ in listener.heard if name in (topic, "wsvad/two/gate/event")]
    types = [set(json.loads(p)["components"]["event"]["event_types"]) if n == topic else json.loads(p)["event_type"]
             for n, p in order]  # fmt: skip
    faults = {"anomaly", "frozen", "black", "moved", "offline"}
    one, two = faults | {"climbing"}, faults | {"climbing", "fighting"}
    assert types == [one, "climbing", "frozen", two, "fighting"]
    assert set(listener.all("wsvad/two/gate/anomaly")) == {b"ON"}
    sink.close()


@needs_mosquitto
def test_a_camera_that_goes_away_is_shown_and_scores_are_not_sent_too_often(port, listener, monkeypatch):
    monkeypatch.setattr("wsvad.sinks.mqtt.SCORE_EVERY", 1000.0)
    sink = sink_at(port, topic="wsvad/three")
    sink.open()
    for score in (0.25, 0.5, 0.75):
        sink.show(CameraState(camera="gate", online=True, score=score))
    sink.show(CameraState(camera="gate", online=False))
    wait_for(lambda: listener.last("wsvad/three/gate/available") == b"offline")
    monkeypatch.setattr("wsvad.sinks.mqtt.SCORE_EVERY", 0.0)
    sink.show(CameraState(camera="gate", online=True, score=1.0))
    wait_for(lambda: listener.last("wsvad/three/gate/score") == b"1.0000")
    assert listener.all("wsvad/three/gate/score") == [b"0.2500", b"1.0000"]
    assert listener.all("wsvad/three/gate/available") == [b"online", b"offline", b"online"]
    sink.close()


@needs_mosquitto
def test_when_home_assistant_starts_it_hears_everything_again(port, listener):
    sink = sink_at(port, topic="wsvad/four")
    sink.show(CameraState(camera="gate", online=True))
    sink.open()
    sink.deliver(alert("e1"))
    wait_for(lambda: listener.last("wsvad/four/gate/alert"))
    listener.heard.clear()
    listener.client.publish("homeassistant/status", "offline")
    listener.client.publish("homeassistant/status", "online")
    wait_for(lambda: listener.last("wsvad/four/gate/anomaly") == b"ON")
    assert len(listener.all("homeassistant/device/wsvad_four_gate/config")) == 1
    assert listener.last("wsvad/four/gate/available") == b"online"
    assert listener.all("wsvad/four/gate/event") == []
    sink.close()


KILLED = """
import sys, time
from wsvad.sinks.mqtt import Mqtt, MqttConfig
from wsvad.sinks.sink import CameraState
sink = Mqtt(MqttConfig(url=f"mqtt://127.0.0.1:{sys.argv[1]}", topic="wsvad/killed"))
sink.show(CameraState(camera="gate", online=True))
sink.open()
time.sleep(60)
"""


@needs_mosquitto
def test_everybody_sees_that_a_process_was_killed(port, listener):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(port)])
    try:
        wait_for(lambda: listener.last("wsvad/killed/gate/anomaly"))
        assert listener.last("wsvad/killed/available") == b"online"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: listener.last("wsvad/killed/available") == b"offline")
    device = json.loads(listener.last("homeassistant/device/wsvad_killed_gate/config"))
    assert "wsvad/killed/available" in [one["topic"] for one in device["availability"]]
    assert device["availability_mode"] == "all"


@needs_mosquitto
def test_a_broker_with_a_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    monkeypatch.setattr("wsvad.sinks.mqtt.RECONNECT", (0.01, 0.1))
    with broker(tmp_path / "b", password="s3cret") as port:
        right = sink_at(port, user="me", password="${MQTT_PASSWORD}")
        right.open()
        right.deliver(alert())
        right.close()
        for settings in ({}, {"user": "me", "password": "wrong"}):
            wrong = sink_at(port, **settings)
            with pytest.raises(WsvadError, match=rf"^127.0.0.1:{port} refuses: Not authorized; check 'user' and 'pass"):
                wrong.open()
            with pytest.raises(WsvadError, match="refuses: Not authorized"):
                wrong.deliver(alert())
    monkeypatch.delenv("MQTT_PASSWORD")
    with pytest.raises(WsvadError, match="password: the environment variable MQTT_PASSWORD is not set"):
        right.open()


@needs_mosquitto
def test_alerts_wait_while_the_broker_is_away_and_nothing_is_lost(tmp_path, monkeypatch):
    port = free_port()
    database = Database(tmp_path / "d", [TABLES])
    sink = sink_at(port)
    monkeypatch.setattr("wsvad.sinks.mqtt.RECONNECT", (0.05, 0.1))
    outbox = Outbox(database, {"home": sink}, first=0.02, longest=0.1)
    outbox.put(alert("early"))
    outbox.start()
    wait_for(lambda: "cannot be reached" in status(database)[0].error)
    for number in (1, 2):  # a broker that is there at last, and one that was away
        with broker(tmp_path / "b", port=port):
            listener = Listener(port)
            outbox.put(alert(f"e{number}"))
            wait_for(lambda heard=listener, number=number: f"e{number}-start" in keys(heard))
            assert outbox.drained(60)
            listener.close()
        outbox.put(alert(f"between{number}"))
        wait_for(lambda: status(database)[0].failures)
    assert status(database)[0].delivered == 4 and status(database)[0].waiting == 1
    outbox.stop()


def keys(listener):
    return {json.loads(payload)["key"] for payload in listener.all("wsvad/gate/alert")}


def test_no_broker_at_all_is_one_line():
    port = free_port()
    with pytest.raises(WsvadError, match=rf"^127.0.0.1:{port}: cannot be reached \(Connection refused\)$"):
        sink_at(port).open()
    with pytest.raises(WsvadError, match="the broker: the connection is lost"):
        sink_at(port).deliver(alert())


def test_the_address_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("BROKER", f"127.0.0.1:{free_port()}")
    with pytest.raises(WsvadError, match=r"^127.0.0.1:\d+: cannot be reached"):
        Mqtt(MqttConfig(url="mqtt://${BROKER}")).open()


@needs_mosquitto
def test_a_certificate_that_does_not_fit_is_said_and_one_that_is_given_is_believed(certificate, tmp_path):
    lines = [f"certfile {certificate / 'cert.pem'}", f"keyfile {certificate / 'key.pem'}"]
    with broker(tmp_path / "b", *lines) as port:
        with pytest.raises(WsvadError, match=r"its certificate does not fit \(self-signed certificate\)"):
            Mqtt(MqttConfig(url=f"mqtts://127.0.0.1:{port}")).open()
        sink = Mqtt(MqttConfig(url=f"mqtts://127.0.0.1:{port}", ca=str(certificate / "cert.pem")))
        sink.open()
        sink.deliver(alert())
        sink.close()


def test_where_the_library_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(WsvadError, match=r"paho-mqtt is not installed; pip install 'wsvad\[live\]'"):
        sink_at(1).open()
