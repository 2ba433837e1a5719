"""Extraction with quiet stretches left out."""

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from clips import Means, write_clip
from quiet_cameras import RATE, camera
from sounds import Loudness, tones, write_film

from wsvad.cli.main import main
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.encode import encode_video
from wsvad.extraction.extract import extract
from wsvad.extraction.quiet import AGAIN, sources
from wsvad.features.store import load, save
from wsvad.video.packets import frames_of, read_packets
from wsvad.video.quiet import GATE

ENCODERS = {"rgb": (Means(),)}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return camera(tmp_path_factory.mktemp("gate") / "gate.mp4", 61, [(20.0, 24.0)])


def test_what_moves_is_encoded_bit_by_bit_and_the_rest_has_features_of_stillness(recording):
    told = []
    whole, gated = (
        encode_video(recording, ENCODERS)["rgb"],
        encode_video(recording, ENCODERS, told.append, gate=True)["rgb"],
    )
    quiet = gated.quiet
    assert whole.quiet is None
    assert 0.4 < quiet.mean() < 0.9
    assert not quiet[20 * RATE // 16 : -(-24 * RATE // 16)].any()
    np.testing.assert_array_equal(gated.features[~quiet], whole.features[~quiet])
    np.testing.assert_array_equal(gated.times, whole.times)
    np.testing.assert_array_equal(gated.filmed, whole.filmed)
    assert sum(told) == gated.passport.frames == whole.passport.frames
    before = np.maximum.accumulate(np.where(quiet, 0, np.arange(len(quiet))))
    np.testing.assert_array_equal(gated.features[quiet], whole.features[before[quiet]])
    np.testing.assert_allclose(gated.features, whole.features, atol=1)  # grey levels
    assert whole.passport.difference(gated.passport) == f"gate: none against {GATE}"


def test_what_moves_may_be_decoded_fast(recording):
    whole = encode_video(recording, ENCODERS, decode="fast")["rgb"]
    gated = encode_video(recording, ENCODERS, decode="fast", gate=True)["rgb"]
    np.testing.assert_array_equal(gated.features[~gated.quiet], whole.features[~gated.quiet])
    assert (gated.passport.decode, gated.passport.gate) == ("fast", GATE)


class Waits(Means):
    """Encodes its first snippet once frames were read behind it."""

    def __init__(self):
        super().__init__()
        self.read = Event()

    def encode(self, snippets):
        assert self.read.wait(60)
        return super().encode(snippets)


def test_frames_are_read_while_the_network_works(recording, monkeypatch):
    encoder = Waits()

    def read(*args):
        for count, frame in enumerate(frames_of(*args)):
            if count == 16:
                encoder.read.set()
            yield frame

    monkeypatch.setattr("wsvad.extraction.encode.frames_of", read)
    gated = encode_video(recording, {"rgb": (encoder,)}, gate=True)["rgb"]
    np.testing.assert_array_equal(gated.features, encode_video(recording, ENCODERS, gate=True)["rgb"].features)


def test_the_mark_is_kept_in_the_file(recording, tmp_path):
    stored = encode_video(recording, ENCODERS, gate=True)["rgb"]
    save(tmp_path / "a.safetensors", stored)
    np.testing.assert_array_equal(load(tmp_path / "a.safetensors").quiet, stored.quiet)
    with pytest.raises(WsvadError, match="by a gate"):
        save(tmp_path / "b.safetensors", replace(stored, passport=replace(stored.passport, gate=0)))


def test_a_short_video_is_encoded_whole_and_says_why(tmp_path, caplog):
    path, why = write_clip(tmp_path / "a.mp4", 40), []
    gated = encode_video(path, ENCODERS, gate=True, on_whole=why.append)["rgb"]
    assert why == ["it has fewer than 12 key frames, 2 s apart, to tell noise from motion"]
    assert gated.passport.gate == GATE and gated.quiet is None
    np.testing.assert_array_equal(gated.features, encode_video(path, ENCODERS)["rgb"].features)


def test_each_quiet_stretch_is_looked_at_again(recording):
    packets, moves = read_packets(recording), np.zeros(610, bool)
    long = replace(packets, stamps=packets.stamps * 30)  # half an hour
    source = sources(long, moves)
    own = np.flatnonzero(source == np.arange(len(source)))
    seconds = long.stamps[own * 16] * float(long.time_base)
    assert own[0] == 0 and own[-1] == len(source) - 1
    assert (np.diff(seconds)[:-1] >= AGAIN).all() and np.diff(seconds).max() < AGAIN + 160
    assert (source <= np.arange(len(source))).all()


def test_a_folder_and_its_settings(recording, tmp_path, capsys):
    out = tmp_path / "features"
    with pytest.raises(UsageError, match="--gate"):
        extract([("a.mp4", recording)], {"rgb": "motion"}, out, workers=0, gate=True, rate=5)
    command = ["extract", str(recording.parent), "--out", str(out), "--rgb", "motion", "--workers", "0"]
    assert main([*command, "--gate"]) == 0
    assert "% of the frames were quiet and left out" in capsys.readouterr().err
    assert load(out / "rgb" / "gate.mp4.safetensors").quiet.any()
    assert main(command) == 1
    assert "give --gate" in capsys.readouterr().err


def test_a_run_that_learned_from_gated_features_scores_whole_videos(tmp_path, capsys):
    """`train` goes on from features that are there, as they are, and what it learned from is told apart by no gate."""
    (tmp_path / "videos").mkdir()
    rows = ["video,label,split"]
    for number in range(6):
        name, events = f"cam{number}.mp4", [(20.0, 24.0)] * (number % 2)
        camera(tmp_path / "videos" / name, 26, events)
        rows.append(f"{name},{number % 2},{'test' if number > 3 else 'train'}")
    (tmp_path / "videos" / "labels.csv").write_text("\n".join(rows))
    videos, features, run = (str(tmp_path / name) for name in ("videos", "features", "run"))
    made = [videos, "--rgb", "motion", "--workers", "0"]
    assert main(["extract", *made, "--gate", "--out", features]) == 0
    assert load(tmp_path / "features" / "rgb" / "cam0.mp4.safetensors").quiet.any()
    learning = ["train", *made, "--features", features, "--method", "linear", "--out", run]
    capsys.readouterr()
    assert main([*learning, "--rate", "10"]) == 2
    said = capsys.readouterr().err
    assert "were made with --gate" in said
    assert "leave it out" in said
    assert main(learning) == 0
    for words in (["--mode", "whole"], ["--mode", "online"]):
        capsys.readouterr()
        assert main(["score", f"{videos}/cam5.mp4", "--model", run, "--out", str(tmp_path / words[1]), *words]) == 0


def test_sound_is_where_it_is_without_a_gate_whenever_the_file_begins(tmp_path):
    """The clock of a transport stream does not begin at 0."""
    path, late = tmp_path / "late.ts", {"pictures_from": 100, "sound_from": 100}
    write_film(path, tones((103, 104)), 140, key=50, rate=16_000, **late)
    encoders = {**ENCODERS, "audio": (Loudness(),)}
    gated, whole = (encode_video(path, encoders, gate=gate)["audio"] for gate in (True, False))
    assert gated.quiet is not None and gated.quiet.any()
    np.testing.assert_array_equal(gated.features, whole.features)
    loud = whole.features[:, 0] > 0.3
    assert loud.any() and not loud.all()
