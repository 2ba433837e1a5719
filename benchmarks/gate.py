"""`--gate` on a long recording in which little moves, and on footage in which everything does; to `results/gate.md`.

    python benchmarks/gate.py [--hours 6] [--seed 0] [--quick]      needs twenty minutes of a core

The recording is of the simulated camera, ten frames a second, a key frame every four seconds, with sensor noise, a time
in the picture, rain now and then and light that comes and goes; something moves in one minute of five, for a quarter of
it. Its minutes are made once and repeated: hours of them are the same packets in another order. A detector is trained
on clips of the same camera. `cctv-fights` lies beside the project.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from wsvad.cli.main import main as wsvad
from wsvad.datasets.open import open_dataset
from wsvad.datasets.toy.backdrop import paint
from wsvad.datasets.toy.events import EVENTS
from wsvad.datasets.toy.props import fence, tree
from wsvad.datasets.toy.render import Renderer
from wsvad.datasets.toy.scene import scenes
from wsvad.datasets.toy.story import Story, tell
from wsvad.detection.detector import Detector
from wsvad.encoders import build
from wsvad.extraction.encode import encode_video
from wsvad.features.store import StoredFeatures
from wsvad.files import write_text
from wsvad.video.reader import VideoReader
from wsvad.video.writer import picture, write_video

HERE = Path(__file__).parent
CCTV = HERE.parent.parent / "shared" / "data" / "cctv-fights"
RATE, GROUP, MINUTE = 10, 40, 600
"""Frames a second, from key frame to key frame, and a minute."""
BEGINS = 20 * RATE
"""Frame of a minute at which something happens, if it does."""
BRIGHT, DULL, STAMP = 1.0, 0.85, 18 * 3600
SHARE = 0.05
"""Of the time in which something moves."""


@dataclass(frozen=True)
class Minute:
    """One that was filmed: its packets, and what is in it."""

    packets: list[tuple[bytes, bool]]
    """Each with whether it is a key frame's."""
    moves: int = 0
    """Frames in which something moves."""
    truth: tuple[tuple[int, int], ...] = ()
    """Frames of what is abnormal."""


class Camera:
    """The simulated camera; a seed has its own people, weather and noise, before one scene."""

    def __init__(self, seed: int):
        self.seed, self.told, scene = seed, 0, scenes(0)[0]
        self.trees, self.backdrop = scene.trees, paint(scene)
        self.scene = replace(scene, rate=Fraction(RATE), trees=())  # which would be others in each story

    def story(self, category: str) -> Story:
        self.told += 1
        dice = np.random.SeedSequence([self.seed, 7, self.told])
        told = tell(self.scene, category, dice, night=False, busy=0.3)
        return replace(told, gain=np.full(told.frames, BRIGHT), noise=2.5, rain=False, stamp=None)

    def film(self, told: Story) -> list[np.ndarray]:
        seconds = np.arange(told.frames) / RATE
        sway = [tree(place, seconds, 0.04, self.scene.camera, np.random.default_rng(5)) for place in self.trees]
        stands = fence(self.scene.zone, told.frames, self.scene.camera)
        actors = [*stands, *sway, *(actor for actor in told.actors if actor.kind != "fence")]
        return list(Renderer(replace(told, actors=actors), self.backdrop).frames())

    def quiet(self, before: float, after: float, *, rain: bool = False) -> list[np.ndarray]:
        """A minute of nothing, as bright as said at its beginning and its end."""
        share = np.linspace(0, 1, MINUTE)
        gain = (before + (after - before) * share) * (1 + 0.02 * np.sin(2 * np.pi * 3 * share))
        return self.film(replace(self.story("normal"), frames=MINUTE, actors=[], gain=gain, rain=rain, stamp=STAMP))

    def event(self, category: str) -> tuple[list[np.ndarray], Story]:
        """A minute in which something happens, abnormal or not."""
        told, pictures = self.story(category), self.quiet(BRIGHT, BRIGHT)
        gain = np.full(told.frames, BRIGHT)
        happens = self.film(replace(told, gain=gain, stamp=STAMP + BEGINS // RATE))
        pictures[BEGINS : BEGINS + len(happens)] = happens
        return pictures, told


def minutes(camera: Camera, count: int, filmed: Path) -> dict[str, list[Minute]]:
    """Those of each kind, filmed into a file; so many in which something happens, every second time something
    abnormal."""
    fixed = f"keyint={GROUP}:min-keyint={GROUP}:scenecut=0:open-gop=0:bframes=0:mbtree=0"
    shown = list[tuple[str, Minute]]()
    with av.open(str(filmed), "w") as container:
        options = {"preset": "veryfast", "crf": "27", "x264-params": fixed}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.thread_count = 1

        def film(kind: str, pictures: list[np.ndarray], minute: Minute | None = None) -> None:
            for number, image in enumerate(pictures):
                container.mux(stream.encode(picture(image, len(shown) * MINUTE + number)))
            shown.append((kind, minute or Minute([])))

        for _ in range(4):
            film("bright", camera.quiet(BRIGHT, BRIGHT))
        for _ in range(2):
            film("rain", camera.quiet(BRIGHT, BRIGHT, rain=True))
            film("dull", camera.quiet(DULL, DULL))
        film("falls", camera.quiet(BRIGHT, DULL))
        film("rises", camera.quiet(DULL, BRIGHT))
        for number in range(count):
            category = list(EVENTS)[number // 2 % len(EVENTS)] if number % 2 else "normal"
            pictures, told = camera.event(category)
            truth = tuple((BEGINS + start, BEGINS + end) for start, end in told.intervals)
            film("event", pictures, Minute([], told.frames, truth))
        container.mux(stream.encode(None))
    with av.open(str(filmed)) as container:
        coded = [(bytes(packet), packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    kinds: dict[str, list[Minute]] = {}
    for number, (kind, minute) in enumerate(shown):
        some = coded[number * MINUTE : (number + 1) * MINUTE]
        assert [key for _, key in some] == [index % GROUP == 0 for index in range(MINUTE)]
        kinds.setdefault(kind, []).append(replace(minute, packets=some))
    return kinds


def order(kinds: dict[str, list[Minute]], count: int, seed: int) -> list[Minute]:
    """So many minutes: light and weather change, and things happen when it is bright and dry, at random."""
    dice = random.Random(seed)
    happens = set(dice.sample(range(count), len(kinds["event"])))
    events, found, sky = iter(kinds["event"]), [], "bright"
    for number in range(count):
        if number in happens:
            if sky == "dull":
                found.append(kinds["rises"][0])
            sky = "bright"
            found.append(next(events))
        elif sky == "dull":
            sky = "bright" if dice.random() < 0.1 else "dull"
            found.append(dice.choice(kinds["rises" if sky == "bright" else "dull"]))
        else:
            sky = dice.choices(["bright", "rain", "dull"], [0.8, 0.15, 0.05])[0]
            found.append(dice.choice(kinds["falls" if sky == "dull" else sky]))
    return found


def record(path: Path, recording: Sequence[Minute], filmed: Path) -> None:
    """Write the packets of each minute, one after the other."""
    with av.open(str(filmed)) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        tick = 0
        for minute in recording:
            for data, key in minute.packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, RATE)
                packet.pts = packet.dts = tick
                packet.duration, packet.is_keyframe = 1, key
                container.mux(packet)
                tick += 1


# ------------------------------------------------------------------------------------------------- what it costs


@dataclass(frozen=True)
class Read:
    """A video that was encoded."""

    stored: StoredFeatures
    clock: float
    cpu: float


def read(path: Path, gate: bool) -> Read:
    encoders, whole = {"rgb": build("motion")}, []
    clock, cpu = time.monotonic(), time.process_time()
    stored = encode_video(path, encoders, threads=1, gate=gate, on_whole=whole.append)["rgb"]
    if whole:
        print(f"{path.name}: read whole, because {whole[0]}", flush=True)
    return Read(stored, time.monotonic() - clock, time.process_time() - cpu)


def trained(folder: Path, camera: Camera, clips: int) -> Path:
    """A run of the default method on clips of the camera."""
    rows = ["video,label,category"]
    for number in range(clips):
        category = list(EVENTS)[number // 2 % len(EVENTS)] if number % 2 else "normal"
        told = replace(camera.story(category), stamp=STAMP)
        write_video(folder / "videos" / f"{number}.mp4", camera.film(told), RATE, crf=27)
        rows.append(f"{number}.mp4,{number % 2},{category}")
    (folder / "videos" / "labels.csv").write_text("\n".join(rows) + "\n")
    assert wsvad(["train", str(folder / "videos"), "--out", str(folder / "run")]) in (0, None)
    return folder / "run"


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def found_of(
    run: Path, stored: StoredFeatures, truth: Sequence[tuple[float, float]]
) -> dict[str, tuple[int, int, int]]:
    """Mode → true events, those that an event of the detector overlaps, and events that overlap none."""
    detector, found = Detector.load(run), {}
    for mode in ("whole", "online"):
        scored = detector.score({"rgb": stored.features}, mode=mode, raw_rate=RATE)  # type: ignore[arg-type]
        events = [(event.start, event.end) for event in scored.events]
        hit = sum(any(overlap(one, other) for other in events) for one in truth)
        found[mode] = (len(truth), hit, sum(not any(overlap(one, other) for other in truth) for one in events))
    return found


# ------------------------------------------------------------------------------------------------- both


def long_recording(folder: Path, hours: float, seed: int, clips: int) -> list[str]:
    camera, count = Camera(seed + 100), round(hours * 60)
    run = trained(folder, camera, clips)
    camera = Camera(seed)
    lasts = 14 * RATE  # of a story, on average
    filmed, video = folder / "minutes.mp4", folder / "recording.mp4"
    kinds = minutes(camera, max(2, round(SHARE * count * MINUTE / lasts)), filmed)
    recording = order(kinds, count, seed)
    record(video, recording, filmed)
    truth = [
        ((place * MINUTE + start) / RATE, (place * MINUTE + end) / RATE)
        for place, minute in enumerate(recording)
        for start, end in minute.truth
    ]
    moves = sum(minute.moves for minute in recording) / (MINUTE * len(recording))
    size = video.stat().st_size
    gated, whole = read(video, True), read(video, False)
    quiet = gated.stored.quiet
    assert quiet is not None and len(quiet) == len(whole.stored.features)
    assert np.array_equal(gated.stored.times, whole.stored.times)
    assert np.array_equal(gated.stored.features[~quiet], whole.stored.features[~quiet])
    with_gate, without = (found_of(run, one.stored, truth) for one in (gated, whole))
    rows = [
        f"{len(recording) / 60:.1f} hours, {size / 2**20:.0f} MiB ({8 * size / len(recording) / 60_000:.0f} kbit/s), "
        f"something moves in {moves:.1%} of it, {len(truth)} abnormal events. {quiet.mean():.1%} of the snippets were "
        "left out; all others are the same bit by bit.\n",
        "| | without | with `--gate` | times as fast |",
        "| --- | ---: | ---: | ---: |",
        f"| seconds | {whole.clock:.0f} | {gated.clock:.0f} | {whole.clock / gated.clock:.1f} |",
        f"| seconds of the processor | {whole.cpu:.0f} | {gated.cpu:.0f} | {whole.cpu / gated.cpu:.1f} |",
    ]
    for mode, (all_of, hit, wrong) in without.items():
        _, hit_too, wrong_too = with_gate[mode]
        rows += [f"| events found of {all_of}, {mode} | {hit} | {hit_too} | |"]
        rows += [f"| false alarms, {mode} | {wrong} | {wrong_too} | |"]
    return rows


def where_all_moves(folder: Path) -> list[str]:
    """`cctv-fights`, with and without in turn; each is too short to be judged, so all in one file as well."""
    if not CCTV.is_dir():
        return ["Its footage is not here."]
    videos = [video.path for video in open_dataset(str(CCTV), split={}).videos if video.path]
    cpu = {True: 0.0, False: 0.0}
    for number, path in enumerate(videos):
        each = {gate: read(path, gate) for gate in ((True, False), (False, True))[number % 2]}
        assert np.array_equal(each[True].stored.features, each[False].stored.features)
        for gate, one in each.items():
            cpu[gate] += one.cpu
    joined = folder / "joined.mp4"
    write_video(joined, pictures_of(videos), 20)
    together = [read(joined, gate) for gate in (True, False)]
    assert together[0].stored.quiet is not None
    quiet = float(together[0].stored.quiet.mean())
    more, more_joined = cpu[True] / cpu[False] - 1, together[0].cpu / together[1].cpu - 1
    return [
        f"{len(videos)} videos: {cpu[False]:.1f} s of the processor without, {cpu[True]:.1f} s with `--gate`, "
        f"{100 * more:+.1f} % (bar: 5 %). They are of six seconds, too short to be judged, and encoded whole: all "
        "features are the same bit by bit, so no event changes.\n",
        f"All in one file of {len(together[1].stored.features) * 16 / 20 / 60:.0f} minutes: {together[1].cpu:.1f} s "
        f"without, {together[0].cpu:.1f} s with, {100 * more_joined:+.1f} %; {quiet:.1%} of its snippets are left out.",
    ]


def pictures_of(videos: Sequence[Path]) -> Iterator[np.ndarray]:
    for path in videos:
        with VideoReader(path) as video:
            for frame in video:
                yield frame.array((320, 240))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="half an hour, to see that it runs; nothing is kept")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        hours, clips = (0.5, 12) if given.quick else (given.hours, 60)
        first = long_recording(Path(folder), hours, given.seed, clips)
        text = "\n".join([HEAD.format(load=load), "## A recording in which little moves\n", *first])
        if not given.quick:
            moving = where_all_moves(Path(folder))
            text = "\n".join([text, "\n## `cctv-fights`, where everything moves\n", *moving])
    print(text)
    if not given.quick:
        write_text(HERE / "results" / "gate.md", text + "\n")


HEAD = """# Leaving out what is quiet

`python benchmarks/gate.py`, one core, load {load:.1f} before it began. Encoder: `motion`.
"""

if __name__ == "__main__":
    main()
