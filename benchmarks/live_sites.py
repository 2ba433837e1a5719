"""Sites on a quiet machine: how many cameras it carries, and when an alert arrives; results go to
benchmarks/results/live-sites.md.

    python benchmarks/live_sites.py VIDEOS --motion RUN --image RUN            # all of it, some 22 minutes
    python benchmarks/live_sites.py VIDEOS --motion RUN --minutes 0.5 --short  # a trial of some minutes

VIDEOS is a folder of short videos in which something happens now and then (that of 'wsvad demo'). They are joined into
one film, 640x360 at 30 frames/s, which the cameras of examples/cameras send over RTSP again and again; they encode
nothing. Runs are 'ur-dmu' on 'motion', and on an image network. The threshold of each is set where that film has most
events, so that there are delays to measure. `wsvad capacity` is asked before, of this film.
"""

import argparse
import json
import os
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "examples" / "cameras"), str(ROOT / "tests")]

import rtsp  # noqa: E402
from alerts import server as receiver  # noqa: E402
from live import RATE, SIZE, health, memory, processors, site, until_live, watching  # noqa: E402

from wsvad import Detector  # noqa: E402
from wsvad.metrics.events import find_events  # noqa: E402
from wsvad.video.clock import SNIPPET  # noqa: E402
from wsvad.video.reader import VideoReader  # noqa: E402
from wsvad.watch.capacity import CODECS, HEADROOM, measure  # noqa: E402

FILM = 60
"""Seconds of the film."""
SETTLE = 10
"""Seconds after the last camera has come until anything is counted."""


def joined(path, videos):
    """One film of videos, as a camera encodes."""
    name, options, pixels = CODECS["h264"]
    left = FILM * RATE
    with av.open(str(path), "w") as container:
        stream = container.add_stream(name, rate=RATE, options=options | {"g": str(2 * RATE)})
        (stream.width, stream.height), stream.pix_fmt = SIZE, pixels
        for video in sorted(Path(videos).rglob("*.mp4")):
            with VideoReader(video) as reader:
                for frame in reader:
                    image = np.ascontiguousarray(cv2.resize(frame.array(), SIZE))
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
                    left -= 1
                    if not left:
                        break
            if not left:
                break
        container.mux(stream.encode(None))
    return path


def threshold_of(run, film):
    """Where the film has most events, and how many."""
    detector = Detector.load(run)
    found = detector.score(film, mode="online")
    rules, scores = detector.calibrations.rules, np.asarray(found.scores)
    counts = {}
    for one in np.quantile(scores, np.linspace(0.3, 0.95, 14)):
        events = find_events(scores, found.times, found.frame_edges, threshold=float(one), rules=rules)
        counts[float(one)] = len(events)
    best = max(counts, key=lambda one: counts[one])
    return best, counts[best], rules


def trial(run, film, threshold, cameras, minutes):
    """So many cameras at once."""
    arrived = []

    def answers(method, path, headers, body):
        arrived.append((time.time(), json.loads(body)))
        return 200, {}, b""

    with TemporaryDirectory() as name, rtsp.RtspServer() as server, receiver(answers) as received:
        folder = Path(name)
        addresses = [server.camera(f"/{n}", file=str(film), rate=RATE) for n in range(cameras)]
        sinks = {"hook": {"type": "webhook", "url": received.url}}
        with watching(site(folder, run, addresses, sinks, threshold=threshold), folder) as process:
            until_live(folder, cameras)
            time.sleep(SETTLE)
            pids = process.pid, server._process.pid
            first, begun, spent = health(folder), time.monotonic(), [processors(pid) for pid in pids]
            counted = time.time()
            time.sleep(60 * minutes)
            now, seconds = health(folder), time.monotonic() - begun
            whole = seconds * (os.cpu_count() or 1)
            shares = [100 * (processors(pid) - before) / whole for pid, before in zip(pids, spent, strict=True)]
            resident, until = memory(process.pid), time.time()

        def grown(key):
            return sum(now["cameras"][one][key] - first["cameras"][one][key] for one in now["cameras"])

        started = [(at, one) for at, one in arrived if (one["state"], one["kind"]) == ("start", "anomaly")]
        alerts = [(at, one) for at, one in started if counted < at < until]
        result = {
            "cameras": cameras, "minutes": round(minutes, 1), "frames/s": round(grown("frames") / seconds, 1),
            "dropped snippets": grown("dropped"), "processors %": round(shares[0], 1),
            "server %": round(shares[1], 1), "MB": round(resident), "alerts": len(alerts),
        }  # fmt: skip
        for since in ("evidence", "due"):
            if delays := [at - datetime.fromisoformat(one[since]).timestamp() for at, one in alerts]:
                result |= {
                    f"{since} to sink, median s": round(statistics.median(delays), 2),
                    f"{since} to sink, 99 % s": round(float(np.quantile(delays, 0.99)), 2),
                }
        holds = not result["dropped snippets"] and shares[0] <= 100 * HEADROOM
        print(f"{time.strftime('%H:%M:%S')} {'holds' if holds else 'does not hold'}: {result}", flush=True)
        return result | {"holds": "yes" if holds else "no"}


def most(run, film, threshold, start, minutes):
    """Trials around a number of cameras: the most of them that held, and the fewest that did not."""
    found, step, cameras = {}, max(1, round(start / 8)), max(1, start)
    for _ in range(2):
        found[cameras] = trial(run, film, threshold, cameras, minutes)
        cameras = cameras + step if found[cameras]["holds"] == "yes" else max(1, cameras - step)
        if cameras in found:
            break
    return found


def table(rows):
    head = list(dict.fromkeys(key for row in rows for key in row))
    lines = [head, ["---"] * len(head), *([str(row.get(key, "")) for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def page(load, rows, said):
    return f"""# Sites of live cameras

Made by `benchmarks/live_sites.py` on {os.cpu_count()} processors whose load was {load:.1f} at the beginning. Cameras
send {SIZE[0]}x{SIZE[1]} at {RATE} frames/s, H.264 over RTSP on loopback; a snippet is {SNIPPET / RATE:.2f} s. It holds
where no snippet is dropped and the process takes at most {100 * HEADROOM:.0f} % of the processors, the server's share
apart. Delays are from the first frame of the first snippet above the threshold (evidence), and from the last frame that
an event needs (due), to the moment at which a webhook has the alert.

{table(rows)}

""" + "".join(f"* {one}\n" for one in said)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--motion", type=Path, help="run on motion: sixteen cameras")
    parser.add_argument("--image", type=Path, help="run on an image network: four cameras")
    parser.add_argument(
        "--minutes", type=float, default=10, help="of the sixteen; the four are watched for a third of it"
    )
    parser.add_argument("--short", action="store_true", help="without the search for the most cameras")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "live-sites.md")
    given = parser.parse_args()
    if why := rtsp.missing():
        raise SystemExit(why)
    load, rows, said = os.getloadavg()[0], [], []
    with TemporaryDirectory() as name:
        film = joined(Path(name) / "film.mp4", given.videos)
        for run, cameras, minutes in ((given.motion, 16, given.minutes), (given.image, 4, given.minutes / 3)):
            if run is None:
                continue
            detector = Detector.load(run)
            names = "+".join(str(one.passport()["encoder"]) for some in detector.encoders.values() for one in some)
            what = f"`{names}` and `{detector.trained.name}`"
            capacity = measure(run, film)
            threshold, events, rules = threshold_of(run, film)
            print(
                f"{what}: capacity {capacity.cameras}; {events} events in {FILM} s at {threshold:.3f}; {rules}",
                flush=True,
            )
            found = [trial(run, film, threshold, cameras, minutes)]
            if not given.short:
                found += most(run, film, threshold, capacity.cameras, min(1.0, given.minutes)).values()
            held = [one["cameras"] for one in found if one["holds"] == "yes"]
            rows += [{"model": what} | one for one in found]
            said.append(
                f"{what}: before, `wsvad capacity` said {capacity.cameras} ({capacity.exact:.1f}; {capacity.whole:.2f} "
                f"ms a frame, most of it {capacity.slowest}). The most of these trials that held: "
                f"{max(held, default=0)}. An event lasts {rules.min_seconds:g} s at least."
            )
    given.out.write_text(page(load, rows, said), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
