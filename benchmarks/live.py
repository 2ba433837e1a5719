"""Cameras for longer than a test lasts: many, faults at random, kills; results go to benchmarks/results/live.md.

    python benchmarks/live.py many RUN --cameras 16 --minutes 10      # 640x360 at 30 frames/s: dropped, processors
    python benchmarks/live.py soak RUN --cameras 4 --minutes 60       # a fault about once a minute; memory
    python benchmarks/live.py kills RUN --cameras 5 --kills 25        # SIGKILL at random moments; nothing is lost

RUN is a run folder ('wsvad demo' makes one). The cameras are GStreamer's (examples/cameras); their own share of the
processors is counted apart. Seeds make faults the same each time.
"""

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "examples" / "cameras"), str(ROOT / "tests")]

import rtsp  # noqa: E402
from brokers import Listener, broker  # noqa: E402

from wsvad import Detector  # noqa: E402
from wsvad.detection.event_store import EventStore  # noqa: E402
from wsvad.errors import WsvadError  # noqa: E402
from wsvad.video.reader import VideoReader  # noqa: E402
from wsvad.watch.capacity import generated, measure  # noqa: E402

SIZE, RATE = (640, 360), 30


EVERYTHING = 0.01
"""A threshold at which an event lasts as long as nothing is wrong: what is counted is whether events are lost."""


class Door:
    """What stands between the process and a server, and can be shut: then nobody answers at that port."""

    def __init__(self, port):
        self.behind, self.pairs = port, []
        self.port = 0
        self.open()

    def open(self):
        self.listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.listening,), daemon=True).start()

    def shut(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for one in self.pairs:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.pairs = []

    def _serve(self, listening):
        with suppress(OSError):
            while True:
                here = listening.accept()[0]
                there = socket.create_connection(("127.0.0.1", self.behind))
                self.pairs += [here, there]
                for source, target in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.close()


def site(folder, run, addresses, sinks=None, clips=None, **more):
    cameras = {f"camera {n}": {"source": address, **more} for n, address in enumerate(addresses, 1)}
    content = {
        "model": str(Path(run).absolute()), "cameras": cameras, "health": {"port": 0},
        "sinks": {"log": {"type": "jsonl", "path": str(folder / "alerts.jsonl")}} | (sinks or {}), "clips": clips or {},
    }  # fmt: skip
    (folder / "cameras.yaml").write_text(yaml.safe_dump(content))
    return folder / "cameras.yaml"


@contextmanager
def watching(path, folder):
    command = [sys.executable, "-m", "wsvad", "watch", str(path), "--out", str(folder / "watch")]
    with (folder / "log.txt").open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


def health(folder):
    """What the process says; None while it does not."""
    try:
        port = json.loads((folder / "watch" / "running.json").read_text())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return json.loads(error.read())
    except (OSError, ValueError):
        return None


def until_live(folder, cameras):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        now = health(folder)
        if now and sum(one["snippets"] > 0 for one in now["cameras"].values()) == cameras:
            return now
        time.sleep(1)
    raise SystemExit(f"cameras do not come: {(folder / 'log.txt').read_text()[-2000:]}")


def tree(pid):
    """A process and all that came from it."""
    found = [pid]
    for each in found:
        tasks = Path(f"/proc/{each}/task")
        for task in tasks.iterdir() if tasks.exists() else ():
            with suppress(OSError):  # a thread that has ended meanwhile
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def processors(pid):
    """Seconds of processors of a process and what it started."""
    total = 0.0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def watchers(pid):
    """A watch's processes without those that read a camera each."""
    found = []
    for each in tree(pid):
        with suppress(OSError):
            if b"wsvad.video.feed" not in Path(f"/proc/{each}/cmdline").read_bytes():
                found.append(each)
    return found


def others_of(pid):
    """Of those, the ones that watch beside the first: they come from the one that forks."""
    return [each for one in watchers(pid)[1:] for each in watchers(one)[1:]]


def memory(pid):
    """Resident megabytes of those."""
    pages = 0
    for each in watchers(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def film(folder):
    return generated(folder / "film.mp4", *SIZE, RATE, "h264")


def many(run, cameras, minutes):
    """So many cameras at once, without faults."""
    with TemporaryDirectory() as name, rtsp.RtspServer() as server:
        folder = Path(name)
        path = film(folder)
        said = measure(run, path)
        addresses = [server.camera(f"/{n}", file=str(path), rate=RATE) for n in range(cameras)]
        with watching(site(folder, run, addresses), folder) as process:
            first = until_live(folder, cameras)
            begun, spent, served = time.monotonic(), processors(process.pid), processors(server._process.pid)
            time.sleep(60 * minutes)
            now, seconds = health(folder), time.monotonic() - begun
            share = 100 * (processors(process.pid) - spent) / seconds / (os.cpu_count() or 1)
            server_share = 100 * (processors(server._process.pid) - served) / seconds / (os.cpu_count() or 1)

            def grown(key):
                return sum(now["cameras"][name][key] - first["cameras"][name][key] for name in now["cameras"])

            return {
                "model": Detector.load(run).trained.name, "cameras": cameras, "minutes": minutes,
                "frames/s": round(grown("frames") / seconds, 1),
                "dropped snippets": grown("dropped"), "processors %": round(share, 1),
                "server's %": round(server_share, 1), "MB": round(memory(process.pid)),
                "most behind s": round(max(one["behind"] for one in now["cameras"].values()), 2),
                "capacity says": said.cameras, "load": round(os.getloadavg()[0], 1),
            }  # fmt: skip


def soak(run, cameras, minutes, seed=0):
    """Faults about once a minute: of a connection, of a camera, of the server, of the stream, of the broker."""
    chance = random.Random(seed)
    with TemporaryDirectory() as name, rtsp.RtspServer() as server, broker(Path(name) / "broker") as port:
        folder, door, listener = Path(name), Door(port), Listener(port)
        path = film(folder)
        other = generated(folder / "other.mp4", 480, 272, RATE, "h264")
        paths, films = [f"/{n}" for n in range(cameras)], Counter()
        addresses = [server.camera(one, file=str(path), rate=RATE) for one in paths]

        def freeze():
            server.freeze(one := chance.choice(paths))
            time.sleep(25)
            server.freeze(one, False)

        def resize():
            films[one := chance.choice(paths)] += 1
            server.show(one, str((path, other)[films[one] % 2]))

        def outage():
            door.shut()
            time.sleep(20)
            door.open()

        faults = {"drop": server.drop, "restart": server.restart, "freeze": freeze, "resize": resize, "broker": outage}
        counts, resident, back, slow = dict.fromkeys(faults, 0), [], [], []
        mqtt = {"broker": {"type": "mqtt", "url": f"mqtt://127.0.0.1:{door.port}"}}
        with watching(site(folder, run, addresses, mqtt, threshold=EVERYTHING), folder) as process:
            until_live(folder, cameras)
            end, due = time.monotonic() + 60 * minutes, time.monotonic() + chance.uniform(20, 60)
            while time.monotonic() < end:
                time.sleep(1)
                resident.append(memory(process.pid))
                if time.monotonic() > due:
                    kind = chance.choice(list(faults))
                    counts[kind] += 1
                    before = connections(folder) if kind in ("drop", "restart") else {}
                    faults[kind]()
                    begun = time.monotonic()
                    while not all_live(folder, cameras) or any(
                        connections(folder)[one] <= before[one] for one in before
                    ):
                        time.sleep(0.2)
                    back.append(time.monotonic() - begun)
                    if back[-1] > 10:
                        slow.append((kind, round(back[-1], 1)))
                        print(f"{kind}: back after {back[-1]:.1f} s\n{tail(folder)}", file=sys.stderr, flush=True)
                    due = time.monotonic() + chance.uniform(20, 80)
            now = health(folder)
        quarter = len(resident) // 4
        second, last = (statistics.mean(resident[a:b]) for a, b in ((quarter, 2 * quarter), (3 * quarter, None)))
        heard = Counter(json.loads(payload)["key"] for topic, payload, _ in listener.heard if topic.endswith("/alert"))
        found = lost(folder)
        return {
            "cameras": cameras, "minutes": minutes, "faults": counts, "MB second quarter": round(second, 1),
            "MB last quarter": round(last, 1), "grown %": round(100 * (last / second - 1), 2),
            "longest reconnect s": round(max(back, default=0), 1), "above 10 s": slow,
            "dropped snippets": sum(one["dropped"] for one in now["cameras"].values()),
            "not at the broker": len(found.pop("keys") - heard.keys()),
            "sent again to the broker": sum(heard.values()) - len(heard), **found,
            "load": round(os.getloadavg()[0], 1),
        }  # fmt: skip


def tail(folder, lines=40):
    """What the watch said last."""
    return "\n".join((folder / "log.txt").read_text().splitlines()[-lines:])


def connections(folder):
    """Camera → times that it was connected: just after it was lost its last picture is still a new one."""
    return {name: one["connections"] for name, one in health(folder)["cameras"].items()}


def all_live(folder, cameras):
    """Whether each camera has had a picture within a second."""
    now = health(folder)
    return now is not None and all(
        one["age"] is not None and one["age"] <= 1 for one in now["cameras"].values()
    ) and len(now["cameras"]) == cameras  # fmt: skip


def lost(folder):
    """Events that did not reach the sink, and what is wrong with the database."""
    store = EventStore(folder / "watch" / "events.db")
    stored = {f"{one.alert.id}-{state}" for one in store.events(limit=10**6) for state in ("start", "end")}
    log = folder / "alerts.jsonl"
    sent = [json.loads(line)["key"] for line in (log.read_text() if log.exists() else "").splitlines()]
    clips = [row["path"] for row in store.database.read("SELECT path FROM clips")]
    announced = (folder / "log.txt").read_text().count(": something abnormal: ")
    found = {
        "keys": stored, "events": len(stored) // 2, "not delivered": len(stored - set(sent)),
        "repeated": len(sent) - len(set(sent)),
        "database": store.database.damage() or "whole", "clips": len(clips),
        "announced and not kept": max(0, announced - len(stored) // 2),
        "clips that are gone": sum(not Path(one).is_file() for one in clips),
        "clips that do not play": sum(not plays(one) for one in clips if Path(one).is_file()),
        "halves of clips": len(list((folder / "watch").rglob(".*"))),
    }  # fmt: skip
    store.close()
    return found


def plays(path):
    """Whether a clip has pictures up to its last second."""
    try:
        with VideoReader(Path(path)) as video:
            times = [float(frame.time) for frame in video]
            last, seconds = max(times, default=-1), video.header().seconds or 0
    except WsvadError as error:
        print(f"does not play: {error}", file=sys.stderr, flush=True)
        return False
    if last < seconds - 1:
        gaps = [round(after - before, 2) for before, after in pairwise(times) if after - before > 0.5]
        print(
            f"{path}: {len(times)} pictures to {last:.2f} of {seconds:.2f} s, gaps {gaps}", file=sys.stderr, flush=True
        )
    return last >= seconds - 1


def kills(run, count, cameras, seed=0):
    """SIGKILL at random moments, then one more start that ends in order. With more cameras than one process watches, it
    is the first process or another that is killed. Give a run with a short window, which has more events: that of
    tests/live_run.py has four snippets."""
    chance = random.Random(seed)
    with TemporaryDirectory() as name, rtsp.RtspServer() as server:
        folder = Path(name)
        path = film(folder)
        addresses = [server.camera(f"/kill{n}", file=str(path), rate=RATE) for n in range(cameras)]
        config = site(folder, run, addresses, clips={"before": 1, "after": 1}, threshold=EVERYTHING)
        apart = 0
        for _ in range(count):
            with watching(config, folder) as process:
                if chance.random() < 0.8:
                    until_live(folder, cameras)
                time.sleep(chance.uniform(0, 12))
                if chance.random() < 0.7:  # an event ends, and its clip is written
                    server.drop()
                    time.sleep(chance.uniform(0, 4))
                victim = chance.choice([process.pid, *others_of(process.pid)])
                os.kill(victim, signal.SIGKILL)
                apart += victim != process.pid
                process.wait(120)
            (folder / "watch" / "running.json").unlink(missing_ok=True)
        with watching(config, folder):
            until_live(folder, cameras)
        found = lost(folder)
        if not found.pop("keys"):
            raise SystemExit("no event in all that time: a run whose window is short has more, see tests/live_run.py")
        return {"cameras": cameras, "kills": count, "of another process than the first": apart, **found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["many", "soak", "kills"])
    parser.add_argument("run", type=Path)
    parser.add_argument("--cameras", type=int, help="default: 16 of many, 4 of soak, 1 of kills")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=25)
    given = parser.parse_args()
    if why := rtsp.missing():
        raise SystemExit(why)
    found = {
        "many": lambda: many(given.run, given.cameras or 16, given.minutes),
        "soak": lambda: soak(given.run, given.cameras or 4, given.minutes),
        "kills": lambda: kills(given.run, given.kills, given.cameras or 1),
    }[given.what]()
    line = f"| {given.what} | " + ", ".join(f"{key}: {value}" for key, value in found.items()) + " |\n"
    results = ROOT / "benchmarks" / "results" / "live.md"
    if not results.exists():
        head = "# Live cameras\n\nMade by `benchmarks/live.py`, 640x360 at 30 frames/s over RTSP on loopback.\n\n"
        results.write_text(head + "| what | result |\n| --- | --- |\n")
    with results.open("a") as file:
        file.write(line)
    print(line)


if __name__ == "__main__":
    main()
