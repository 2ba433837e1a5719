"""What is kept of scored videos is believed only as it was written."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from clips import Means
from safetensors import safe_open
from safetensors.numpy import save_file
from sounds import Loudness, tones, write_film

from wsvad.detection.detector import Detector
from wsvad.detection.kept import Found, Kept, Stamp
from wsvad.extraction.encode import Part, encode_video
from wsvad.runs.folder import RunFolder
from wsvad.runs.scorer import Scored
from wsvad.runs.sealed import digest_of, sealed
from wsvad.video.clock import SnippetClock


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "scoring_hash", lambda self: "0" * 64)
    (tmp_path / "v.mp4").write_text("")
    there = Kept(tmp_path / "out", tmp_path, "whole")
    scores = np.array([0.1, 0.9, 0.2], np.float32)
    clock = SnippetClock(snippets=3, frames=40, stride=16, times=np.arange(4.0), rate=Fraction(25))
    there.write("v.mp4", Stamp.of(tmp_path / "v.mp4"), Found(clock=clock, scored=Scored(scores=scores), tags={}))
    return there


def read(kept):
    return kept.read("v.mp4", kept.out.parent / "v.mp4")


def rewrite(kept, arrays=None, seal=True, **fields):
    """Write the file again with other content; with `seal`, as one who knows how."""
    path = kept.path("v.mp4")
    with safe_open(path, framework="numpy") as stored:
        record = json.loads(stored.metadata()["record"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()} | (arrays or {})  # noqa: SIM118
    record |= fields
    if seal:
        record = sealed(record | {"tensors": digest_of(tensors)})
    save_file(tensors, path, metadata={"record": json.dumps(record)})


def test_it_is_read_as_it_was_written(kept):
    found = read(kept)
    assert found.scored.scores.tolist() == np.array([0.1, 0.9, 0.2], np.float32).tolist()
    assert (found.clock.frames, found.clock.rate, found.clock.times.tolist()) == (40, 25, [0, 1, 2, 3])
    rewrite(kept)
    assert read(kept) is not None


def test_other_scores_are_not_believed(kept):
    rewrite(kept, {"scores": np.zeros(3, np.float32)}, seal=False)
    assert read(kept) is None


@pytest.mark.parametrize("seal", [False, True])
@pytest.mark.parametrize(
    "fields", [{"rate": "1e999999999"}, {"frames": 10**30}, {"frames": -16}, {"stride": 0}, {"rate": 25}, {"tags": 1}]
)
def test_a_clock_that_cannot_be_is_not_believed(fields, seal, kept):
    rewrite(kept, seal=seal, **fields)
    assert read(kept) is None


@pytest.mark.parametrize("borders", [[0, 20, 40], [0, 30, 20, 40], [0, 20, 30, 41], [0.0, 20.0, 30.0, 40.0]])
def test_borders_that_cannot_be_are_not_believed(borders, kept):
    rewrite(kept, {"borders": np.array([0, 20, 20, 40])})
    assert read(kept).clock.edges.tolist() == [0, 20, 20, 40]
    rewrite(kept, {"borders": np.array(borders)})
    assert read(kept) is None


def test_times_without_end_are_not_believed(kept):
    rewrite(kept, {"times": np.array([0, 1, 2, np.inf])})
    assert read(kept) is None


def test_a_record_without_its_hash_is_not_believed(kept):
    path = kept.path("v.mp4")
    with safe_open(path, framework="numpy") as stored:
        record = json.loads(stored.metadata()["record"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    del record["sha256"]
    save_file(tensors, path, metadata={"record": json.dumps(record)})
    assert read(kept) is None


def test_rows_of_a_video_that_is_not_finished_are_believed_as_they_were_written(kept):
    stamp, shapes = Stamp.of(kept.out.parent / "v.mp4"), {"rgb": (2,)}
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    kept.write_part("v.mp4", stamp, Part({"rgb": list(rows)}))
    assert np.array_equal(kept.read_part("v.mp4", stamp, shapes).rows["rgb"], rows)
    path = kept.part("v.mp4")
    with safe_open(path, framework="numpy") as stored:
        about = stored.metadata()
    save_file({"rgb": rows * 0}, path, metadata=about)
    assert kept.read_part("v.mp4", stamp, shapes).snippets == 0
    # Nor those of other numbers, by one who knows the hash.
    save_file(
        {"rgb": rows.astype(np.float64)}, path, metadata=about | {"tensors": digest_of({"rgb": rows.astype(float)})}
    )
    assert kept.read_part("v.mp4", stamp, shapes).snippets == 0


def test_a_part_is_taken_up_only_as_it_was_written(kept):
    rows, stamp = [np.full(4, i, np.float32) for i in range(3)], Stamp.of(kept.out.parent / "v.mp4")
    kept.write_part("v.mp4", stamp, Part({"rgb": rows}))
    found = kept.read_part("v.mp4", stamp, {"rgb": (4,)})
    np.testing.assert_array_equal(found.rows["rgb"], rows)
    assert not kept.read_part("v.mp4", replace(stamp, raw_rate="20"), {"rgb": (4,)}).rows
    assert not kept.read_part("v.mp4", stamp, {"rgb": (5,)}).rows
    path = kept.part("v.mp4")
    for odd in (
        np.ones(4, np.float32),
        np.ones((), np.float32),
        np.ones((3, 4, 1), np.float32),
        np.full((3, 4), np.nan),
    ):
        about = {"made": json.dumps(kept._making(stamp)), "tensors": digest_of({"rgb": odd})}
        save_file({"rgb": odd}, path, metadata=about)  # by somebody who knows how they are sealed
        assert not kept.read_part("v.mp4", stamp, {"rgb": (4,)}).rows
    kept.write_part("v.mp4", stamp, Part({"rgb": rows}))
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # of the last number, which stays one
    path.write_bytes(content)
    assert not kept.read_part("v.mp4", stamp, {"rgb": (4,)}).rows


def test_a_detector_that_hears_goes_on_where_it_was(kept, tmp_path):
    path = write_film(tmp_path / "film.mp4", tones((0.5, 1.0)), 3)
    encoders = {"rgb": (Means(count=1),), "audio": (Loudness(),)}
    whole, part, stamp = encode_video(path, encoders), Part({}), Stamp.of(path)

    def interrupt(_):
        if part.snippets == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_video(path, encoders, interrupt, part=part)
    kept.write_part("film.mp4", stamp, part)
    detector = Detector(trained=None, scorer=None, encoders=encoders, calibrations=None, run=tmp_path)
    part = kept.read_part("film.mp4", stamp, detector.shapes)
    assert part.snippets == 2
    for stream, found in encode_video(path, encoders, part=part).items():
        np.testing.assert_array_equal(found.features, whole[stream].features)
