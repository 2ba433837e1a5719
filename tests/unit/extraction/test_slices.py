"""Long videos in slices: the file is that of one pass, byte for byte, or the video is not divided."""

from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import build, level, overwrite, packets, write_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsvad.extraction.assembly import assembled
from wsvad.extraction.encode import encode_video
from wsvad.extraction.extract import extract
from wsvad.extraction.jobs import Divided, Extraction, Finished, Job, do
from wsvad.extraction.slices import Slice
from wsvad.extraction.workers import Local, in_this_process
from wsvad.features.store import save
from wsvad.video.decoding import Decode
from wsvad.video.pieces import divided, frames_of, layout_of
from wsvad.video.reader import VideoReader

STREAMS = {"rgb": "means", "flow": "means:4+means"}


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    """No picture is like another one, so that a wrong one is told."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (24, 32, 3))
    return [np.clip(base + level(i) + rng.integers(-40, 40, base.shape), 0, 255).astype(np.uint8) for i in range(count)]


def in_slices(path: Path, out: Path, frames: int = 32, decode: Decode = "exact") -> list[Finished]:
    """Extract a video, divided where it may be; what became of each job."""
    extraction = Extraction(streams=STREAMS, out=out, builder="clips:build", slices=frames, decode=decode)
    jobs = deque([Job(video="v.mp4", path=path, streams=tuple(STREAMS), size=1)])
    parts, seen = extraction.parts(), []

    def watched(events):
        for event in events:
            seen.extend([event] if isinstance(event, Finished) else [])
            yield event

    ended = [
        one for one in assembled(watched(in_this_process(jobs, extraction, parts)), jobs) if isinstance(one, Finished)
    ]
    assert len(ended) == 1 and ended[0].reason is None, ended
    assert not jobs
    return seen


def is_whole(path: Path, out: Path, decode: Decode = "exact") -> bool:
    """Whether what was extracted is what one pass gives."""
    for stream, spec in STREAMS.items():
        whole = encode_video(path, {stream: build(spec)}, threads=1, decode=decode)[stream]
        save(out / "whole" / f"{stream}.safetensors", whole)
        if (out / "whole" / f"{stream}.safetensors").read_bytes() != (out / stream / "v.mp4.safetensors").read_bytes():
            return False
    return not list((out / ".slices").rglob("*.safetensors"))


def test_slices_are_decoded_as_the_whole(tmp_path):
    path = write_clip(tmp_path / "a.mp4", noise(96), preset="medium", crf="38", g="24")
    assert len(in_slices(path, tmp_path / "out", decode="fast")) > 3
    assert is_whole(path, tmp_path / "out", "fast") and not is_whole(path, tmp_path / "out")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    frames=st.integers(64, 130), group=st.integers(1, 50), b_frames=st.integers(0, 3), is_open=st.booleans(),
    refresh=st.booleans(), ending=st.sampled_from(["mp4", "mkv", "mov"]), slices=st.sampled_from([16, 32, 48]),
    steps=st.none() | st.lists(st.integers(1, 400), min_size=130, max_size=130),
)  # fmt: skip
def test_slices_joined_are_the_whole(
    frames, group, b_frames, is_open, refresh, ending, slices, steps, tmp_path_factory
):
    """Over groups of pictures, lengths, containers, and frame rates that vary."""
    folder = tmp_path_factory.mktemp("slices")
    times = None if steps is None else [0, *np.cumsum(steps).tolist()][:frames]
    options = {"g": str(group), "bf": str(b_frames), "preset": "veryfast", "crf": "20", "sc_threshold": "0"}
    params = ":".join(filter(None, ["open-gop=1" * is_open, "intra-refresh=1" * refresh]))
    path = write_clip(
        folder / f"clip.{ending}", noise(frames), times=times, **options, **({"x264-params": params} if params else {})
    )
    in_slices(path, folder / "out", slices)
    assert is_whole(path, folder / "out")


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_long_video_is_divided(ending, tmp_path):
    path = write_clip(tmp_path / f"v.{ending}", noise(100), g="10")
    seen = in_slices(path, tmp_path / "out")
    assert isinstance(seen[0].divided, Divided)
    assert [(piece.first, piece.end) for piece in seen[0].divided.joining.pieces] == [(0, 32), (32, 64), (64, 100)]
    assert len(seen) == 1 + 3 + 1
    assert is_whole(path, tmp_path / "out")


@pytest.mark.parametrize("ending", ["avi", "ts"])
def test_what_has_no_reliable_index_is_not_divided(ending, tmp_path):
    path = write_clip(tmp_path / f"v.{ending}", noise(100), g="10")
    assert len(in_slices(path, tmp_path / "out")) == 1
    assert is_whole(path, tmp_path / "out")


def test_with_one_key_frame_there_is_one_slice(tmp_path):
    path = write_clip(tmp_path / "v.mp4", noise(100), g="1000")
    assert len(in_slices(path, tmp_path / "out")) == 1


@pytest.mark.parametrize("damaged", [5, 40, 95])
def test_a_damaged_video_is_encoded_as_a_whole(damaged, tmp_path):
    path = write_clip(tmp_path / "v.mp4", noise(100), g="10")
    overwrite(path, packets(path)[damaged : damaged + 1], 0)
    seen = in_slices(path, tmp_path / "out")
    assert seen[0].divided is not None and seen[-1].task is None
    assert is_whole(path, tmp_path / "out")


def test_a_video_that_changes_meanwhile_is_encoded_as_a_whole(tmp_path):
    path = write_clip(tmp_path / "v.mp4", noise(100), g="10")
    extraction = Extraction(streams=STREAMS, out=tmp_path / "out", builder="clips:build", slices=32)
    job = Job(video="v.mp4", path=path, streams=tuple(STREAMS), size=1)
    encoders = extraction.joined(extraction.parts())
    joining = do(job, encoders, extraction, lambda _: None).divided.joining
    write_clip(path, noise(100, seed=1), g="10")
    told = do(
        replace(job, task=Slice(piece=joining.pieces[1], origin=joining.origin)), encoders, extraction, lambda _: None
    )
    assert told.reason == f"{path}: has changed while it was encoded"
    told = do(replace(job, task=joining), encoders, extraction, lambda _: None)
    assert told.reason == f"{path}: has changed while it was encoded"


def test_slices_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "v.mp4", noise(100), g="10")
    extraction = Extraction(streams=STREAMS, out=tmp_path / "out", builder="clips:build", slices=32)
    job = Job(video="v.mp4", path=path, streams=tuple(STREAMS), size=1)
    encoders = extraction.joined(extraction.parts())
    joining = do(job, encoders, extraction, lambda _: None).divided.joining
    for piece in joining.pieces[:2]:
        do(replace(job, task=Slice(piece=piece, origin=joining.origin)), encoders, extraction, lambda _: None)
    read = []

    def frames(video, piece):
        read.append(piece)
        return frames_of(video, piece)

    monkeypatch.setattr("wsvad.extraction.slices.frames_of", frames)
    in_slices(path, tmp_path / "out")
    assert read == [joining.pieces[2]]
    assert is_whole(path, tmp_path / "out")


def test_processes_do_slices_side_by_side(tmp_path):
    long = write_clip(tmp_path / "v.mp4", noise(100), g="10")
    short = write_clip(tmp_path / "short.mp4", noise(20))
    videos = [("v.mp4", long), ("short.mp4", short)]
    report = extract(videos, STREAMS, tmp_path / "out", builder="clips:build", engine=Local(2), slices=32)
    assert (report.done, report.frames, report.failed) == (2, 120, {})
    assert is_whole(long, tmp_path / "out")
    assert not (tmp_path / "out" / ".slices").exists()


def test_pieces_begin_at_whole_snippets_and_cover_all(tmp_path):
    path = write_clip(tmp_path / "v.mp4", noise(130), g="7", bf="2", preset="veryfast")
    with VideoReader(path, threads=1) as video:
        layout = layout_of(video)
    assert layout is not None
    pieces = divided(layout, 48)
    assert [piece.first % 16 for piece in pieces] == [0] * len(pieces)
    assert [piece.first for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == 130
    assert all(piece.key <= piece.start for piece in pieces)
