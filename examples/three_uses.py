"""Three uses of the library, on the demo's run: python examples/three_uses.py [wsvad-demo]

`make demo` (or `wsvad demo`) makes the folder: `camera/` has the videos, `run/` the detector.
"""

import sys
from pathlib import Path

import numpy as np

from wsvad import METHODS, Detector, evaluate, open_dataset, train
from wsvad.training.protocol import Protocol
from wsvad.video.reader import VideoReader

METHODS_COMPARED = ("linear", "mil", "ur-dmu")


def arrays_from_memory(detector: Detector, video: Path) -> None:
    """Pictures, or features that were computed elsewhere, are scored without a file."""
    with VideoReader(video) as reader:
        rate, pictures = reader.info.rate, [frame.array() for frame in reader]  # (h, w, 3) uint8 RGB
    timeline = detector.score(pictures, raw_rate=rate, name="pictures")
    print(f"{len(pictures)} pictures: highest score {timeline.peak:.2f}, {len(timeline.events)} event(s)")

    features = {stream: np.asarray(x) for stream, x in detector.encoded(video).items()}  # (T, D) each
    timeline = detector.score(features, raw_rate=rate, name="features")
    for event in timeline.events:
        print(f"features: {event.start:.1f} s to {event.end:.1f} s, score {event.peak:.2f}")


def live_source(detector: Detector, video: Path) -> None:
    """Frames are pushed as they come; every 16 of them give a score. Here a file plays the camera."""
    live = detector.live()
    with VideoReader(video) as camera:
        snippets = [snippet for frame in camera if (snippet := live.push(frame))]
    snippets += [rest] if (rest := live.flush()) else []
    alarms = [f"{snippet.start:.1f} s" for snippet in snippets if snippet.alarm]
    print(f"live: {len(snippets)} snippets, alarms at {', '.join(alarms) or 'no time'}")

    replay = detector.score(video, mode="online").scores
    gap = np.abs(replay - [snippet.score for snippet in snippets]).max()
    print(f"live: equal to the replay of the recording, up to {gap:.0e}")


def study(folder: Path, features: Path, out: Path) -> None:
    """Methods side by side on the same features and videos. `wsvad bench` adds seeds, intervals and a page."""
    dataset = open_dataset(folder)
    for method in METHODS_COMPARED:
        protocol = Protocol(budget="data", normalise="standardise", hold_out=0.0, points=1)
        train(dataset, out / method, method=method, streams={"rgb": "motion"}, features=features, protocol=protocol)
        metrics = evaluate(out / method).metrics
        print(f"{method} (one of {len(list(METHODS))} methods): AUC {metrics['auc']:.3f}, AP {metrics['ap']:.3f}")


def main(demo: Path = Path("wsvad-demo")) -> None:
    detector = Detector.load(demo / "run")
    abnormal = next(video for video in open_dataset(demo / "camera").test if video.label)
    path = demo / "camera" / "videos" / abnormal.name
    arrays_from_memory(detector, path)
    live_source(detector, path)
    study(demo / "camera", demo / "run" / "features", demo / "study")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
