"""`make demo-live`: a simulated camera over RTSP is watched, an alert comes, and its clip is opened. Offline.

    python examples/cameras/demo.py [FOLDER]

Without GStreamer's RTSP server the film is watched as a file in real time.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import rtsp

from wsvad import Detector, train
from wsvad.datasets.folder import open_folder
from wsvad.datasets.toy import make_toy
from wsvad.detection.event_store import EventStore
from wsvad.methods.linear import LinearConfig
from wsvad.training.protocol import Protocol
from wsvad.video.reader import VideoReader

BEGUN = time.monotonic()
VIDEOS, RATE = 16, 20
LONGEST = 110.0
"""Seconds to wait for the alert and its end."""


def say(words: str) -> None:
    print(f"[{time.monotonic() - BEGUN:3.0f} s] {words}", flush=True)


def learn(folder: Path) -> tuple[Path, list[Path]]:
    """A detector, and what the camera shows: a quiet test video, and one in which it sees something."""
    say(f"a simulated camera films {VIDEOS} short videos, and a detector learns from those for training …")
    videos, run = make_toy(folder / "videos", videos=VIDEOS, seed=0), folder / "run"
    protocol = Protocol(budget="data", normalise="standardise")
    train(videos, run, method="linear", config=LinearConfig(), protocol=protocol, streams={"rgb": "motion"})
    detector = Detector.load(run)
    test = open_folder(videos).test
    quiet = [one.path for one in test if not one.label]
    peaks = {one.path: detector.score(one.path, mode="online").scores.max() for one in test if one.label}
    return run, [quiet[0], quiet[-1], max(peaks, key=lambda path: peaks[path])]


def film_of(videos: list[Path], path: Path) -> Path:
    """One film of them, as a camera encodes: no frame waits for a later one."""
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "g": str(2 * RATE), "crf": "18"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.pix_fmt = "yuv420p"
        for number, video in enumerate(videos):
            with VideoReader(video) as reader:
                if not number:
                    stream.width, stream.height = reader.info.width, reader.info.height
                for frame in reader:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.array(), "rgb24")))
        container.mux(stream.encode(None))
    return path


@contextmanager
def camera(film: Path) -> Iterator[str]:
    """Its address."""
    if why := rtsp.missing():
        say(f"no RTSP here ({why}); the film is played as a file")
        yield str(film)
        return
    with rtsp.RtspServer() as server:
        yield server.camera("/street", file=str(film), rate=RATE)


def watched(run: Path, address: str, out: Path) -> str:
    """Watch until an event is over; its id."""
    command = [sys.executable, "-m", "wsvad", "watch", str(run), address, "--out", str(out), "--json"]
    say(" ".join(["wsvad", *command[3:]]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        signal.signal(signal.SIGALRM, lambda *_: process.terminate())
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        found = ""
        for line in process.stdout:
            alert = json.loads(line)
            if alert["kind"] == "anomaly":
                began = alert["state"] == "start"
                what = f"began, {alert['delay']:.1f} s ago" if began else "is over"
                say(f"ALERT: the event that {what}: score {alert['score']:.2f}, threshold {alert['threshold']:.2f}")
                found = alert["id"]
                if not began:
                    time.sleep(6)  # for the seconds of the clip that come after it
                    process.terminate()
        process.wait()
    return found


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "wsvad-demo-live")
    run, videos = learn(folder)
    film = film_of(videos, folder / "film.mp4")
    window = Detector.load(run).scorer.window
    say(f"the camera shows two quiet videos, then one that is not; no event opens in its first {window} snippets")
    with camera(film) as address:
        event = watched(run, address, folder / "watch")
    if not event:
        say("no alert came in time")
        return 1
    store = EventStore(folder / "watch" / "events.db")
    kept = store.event(event)
    if not kept.clip:
        say("the event has no clip")
        return 1
    with VideoReader(kept.clip) as clip:
        frames = sum(1 for _ in clip)
        still = store.still(event) or b""
        say(f"clip {kept.clip}: {clip.info.codec}, {frames / RATE:.1f} s; its picture has {len(still):,} bytes")
    store.close()
    subprocess.run([sys.executable, "-m", "wsvad", "status", str(folder / "watch")], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
