"""Encoding: brute force over whole decoded videos is the oracle."""

import hashlib
import math
import weakref
from collections import deque
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
from clips import Means, level, overwrite, packets, write_clip
from hypothesis import given
from hypothesis import strategies as st

from wsvad.encoders.encoder import Sampling
from wsvad.errors import WsvadError
from wsvad.extraction.encode import Part, encode_video, passport
from wsvad.extraction.jobs import Begun, Extraction, Finished, Job
from wsvad.extraction.snippets import SnippetEncoder
from wsvad.extraction.workers import in_this_process
from wsvad.features.store import load, save
from wsvad.video.reader import DECODER, VideoReader, open_container


def expected_means(frames: int, count: int) -> np.ndarray:
    """Centres of `count` equal parts of each snippet, by the definition."""
    rows = []
    for start in range(0, frames, 16):
        length = min(16, frames - start)
        centres = [math.floor((part + 0.5) * length / count) for part in range(count)]
        rows.append([level(start + centre) for centre in centres])
    return np.array(rows)


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 29])
@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_features_are_those_of_the_sampled_frames(tmp_path, frames, count):
    path = write_clip(tmp_path / "clip.mp4", frames)
    stored = encode_video(path, {"rgb": (Means(count=count),)})["rgb"]
    assert stored.features.dtype == np.float32
    assert stored.features.shape == (-(-frames // 16), count)
    assert np.abs(stored.features - expected_means(frames, count)).max() <= 2
    assert stored.times.tolist() == [*(i / 25 for i in range(0, frames, 16)), frames / 25]


@pytest.mark.parametrize("frames", [16, 41])
def test_a_part_that_was_encoded_before_is_gone_on_from_anywhere(tmp_path, frames):
    path, pair = write_clip(tmp_path / "clip.mp4", frames), {"a": (Means(),), "b": (Means("b", 4),)}
    whole = encode_video(path, pair)
    rows = {stream: list(stored.features) for stream, stored in whole.items()}
    for done in range(len(rows["a"]) + 1):
        part = Part({"a": rows["a"][: done + 1], "b": rows["b"][:done]})  # one stream was further when it stopped
        encoded, read = [], []
        slow = {"a": (Counted(encoded),), "b": pair["b"]}
        again = encode_video(path, slow, read.append, part=part)
        assert len(encoded) == len(rows["a"]) - done and sum(read) == frames
        for stream, stored in whole.items():
            assert np.array_equal(again[stream].features, stored.features)
            assert np.array_equal(again[stream].times, stored.times)
        assert part.snippets == len(rows["a"])
    assert Part({}).snippets == 0


class Counted(Means):
    """Notes each snippet."""

    def __init__(self, encoded: list[int]):
        super().__init__()
        self.encoded = encoded

    def encode(self, snippets):
        self.encoded.append(1)
        return super().encode(snippets)


def test_edges_of_snippets_follow_a_variable_frame_rate(tmp_path):
    times = [i * i for i in range(20)]
    stored = encode_video(write_clip(tmp_path / "clip.mkv", 20, times=times), {"rgb": (Means(),)})["rgb"]
    assert stored.times[:2].tolist() == [0, 0.256]
    assert stored.times[2] > 0.361


def test_a_passport_says_how_the_file_was_made(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 20, rate=Fraction(30000, 1001), g="1")
    overwrite(path, [packets(path)[3]])
    encoders = (Means("a", 2, weights="abc"), Means("b", 4))
    stored = encode_video(path, {"both": encoders, "one": encoders[:1]})
    passport = stored["both"].passport
    assert passport.encoder == "a+b"
    assert passport.width == 6
    assert passport.weights == "abc+"
    assert passport.settings == {"a": {"count": 2, "size": [16, 12]}, "b": {"count": 4, "size": [16, 12]}}
    assert passport.decoder == DECODER
    assert (passport.frames, passport.frame_rate, passport.damaged) == (20, "30000/1001", 1)
    assert passport.source == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored["one"].passport.settings == {"count": 2, "size": [16, 12]}
    assert stored["one"].passport.weights == "abc"
    save(tmp_path / "features", stored["both"])
    back = load(tmp_path / "features")
    assert back.passport == passport
    assert np.array_equal(back.features, stored["both"].features)


def test_a_passport_keeps_the_settings_of_two_that_call_themselves_alike():
    """Networks of one file name in two folders, joined in one stream."""
    joined = passport((Means("a", 2), Means("a", 4)), frames=20)
    assert joined.settings == {"a": {"count": 2, "size": [16, 12]}, "a 2": {"count": 4, "size": [16, 12]}}


def test_encoders_of_a_stream_are_joined_in_their_order(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 29)
    two, four = Means(count=2), Means("four", count=4)
    apart = encode_video(path, {"two": (two,), "four": (four,)})
    for order, names in (((two, four), ("two", "four")), ((four, two), ("four", "two"))):
        joined = encode_video(path, {"rgb": order})["rgb"].features
        assert np.array_equal(joined, np.concatenate([apart[name].features for name in names], axis=1))


def test_streams_that_are_made_alike_are_encoded_once(tmp_path, monkeypatch):
    extraction = Extraction(
        streams={"a": "means", "b": "means", "c": "means-other"}, out=tmp_path, builder="clips:build"
    )
    encoders = extraction.joined(extraction.parts())
    assert encoders["a"][0] is encoders["b"][0] is not encoders["c"][0]
    calls = []
    encode = Means.encode
    monkeypatch.setattr(Means, "encode", lambda self, snippets: calls.append(self.name) or encode(self, snippets))
    stored = encode_video(write_clip(tmp_path / "clip.mp4", 17), encoders)
    assert np.array_equal(stored["a"].features, stored["b"].features)
    assert sorted(calls) == ["means", "means", "means-other", "means-other"]  # two snippets


def test_a_live_source_gives_the_features_of_the_file(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 29)
    encoders = {"rgb": (Means(count=3),), "pose": (Means("other", 1),)}
    live, rows = SnippetEncoder(encoders), {"rgb": [], "pose": []}
    with VideoReader(path) as video:
        for frame in video:
            finished = live.push(frame)
            assert (finished is not None) == (frame.index % 16 == 15)
            for stream, row in (finished or {}).items():
                rows[stream].append(row)
    for stream, row in live.flush().items():
        rows[stream].append(row)
    assert live.flush() is None
    for stream, stored in encode_video(path, encoders).items():
        assert np.array_equal(np.stack(rows[stream]), stored.features)


class FakeFrame:
    """Counts its conversions and those that are alive."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    def __init__(self, asked: list):
        self.asked = asked
        self.alive.add(self)

    def array(self, size, colour):
        self.asked.append((size, colour))
        return np.zeros((*size[::-1], 3) if colour == "rgb" else size[::-1], np.uint8)


@given(count=st.integers(1, 20), length=st.integers(1, 16))
def test_each_form_of_a_sampled_frame_is_converted_once(count, length):
    asked: list = []
    gray = Means("gray", count)
    gray.sampling = Sampling(count=count, size=(16, 12), colour="gray")
    same = Means("same", count)
    live = SnippetEncoder({"a": (Means(count=count), same), "b": (Means(count=count), gray)})
    for _ in range(length):
        live.push(FakeFrame(asked))
    live.flush()
    sampled = len(set(Sampling(count=count).offsets(length)))
    assert asked.count(((16, 12), "rgb")) == sampled
    assert asked.count(((16, 12), "gray")) == sampled


def test_no_more_than_a_snippet_of_frames_is_held():
    live = SnippetEncoder({"a": (Means(),)})
    for _ in range(100):
        live.push(FakeFrame([]))
        assert len(FakeFrame.alive) <= 16


def test_a_frame_of_which_all_is_read_is_not_held():
    live, asked = SnippetEncoder({"a": (Means(count=16),), "b": (Means(count=20),)}), []
    FakeFrame.alive.clear()
    for pushed in range(1, 25):
        live.push(FakeFrame(asked))
        assert len(asked) == pushed and len(FakeFrame.alive) == 0
    assert live.flush()["a"].shape == (16,)  # of the eight that remain


def test_progress_adds_up_to_the_frames(tmp_path):
    told: list[int] = []
    encode_video(write_clip(tmp_path / "clip.mp4", 29), {"rgb": (Means(),)}, told.append)
    assert told == [16, 13]
    told.clear()
    encode_video(write_clip(tmp_path / "clip.mp4", 16), {"rgb": (Means(),)}, told.append)
    assert told == [16]


def test_an_encoder_that_breaks_its_word_is_named(tmp_path):
    encoder = Means("liar")
    encoder.encode = lambda snippets: np.zeros((1, 7))
    with pytest.raises(WsvadError, match=r"encoder liar: .*\(1, 7\).*\(1, 2\)"):
        encode_video(write_clip(tmp_path / "clip.mp4", 3), {"rgb": (encoder,)})


def test_a_video_that_must_not_be_read_is_one_line(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = write_clip(tmp_path / "clip.mp4", 3)
    monkeypatch.setattr("wsvad.extraction.encode.sha256", denied)
    monkeypatch.setattr("wsvad.video.reader.av.open", denied)
    with pytest.raises(WsvadError, match="no permission to read it"):
        encode_video(path, {"rgb": (Means(),)})


def test_an_extraction_opens_a_video_once_and_says_its_length(tmp_path, monkeypatch):
    opened, path = [], write_clip(tmp_path / "clip.mp4", 17)
    extraction = Extraction(streams={"rgb": "means"}, out=tmp_path / "out", builder="clips:build", slices=1600)
    job = Job(video="clip", path=path, streams=("rgb",), size=1)
    monkeypatch.setattr("wsvad.video.reader.open_container", lambda path: opened.append(path) or open_container(path))
    events = list(in_this_process(deque([job]), extraction, extraction.parts()))
    assert opened == [path]
    assert events[0] == Begun(video="clip", declared=17)
    assert isinstance(events[-1], Finished) and events[-1].frames == 17 and events[-1].reason is None


def test_a_missing_video_is_one_line(tmp_path):
    with pytest.raises(WsvadError, match="there is no such video file"):
        encode_video(tmp_path / "nothing.mp4", {"rgb": (Means(),)})
