"""Sound on the clock of the snippets: what each one hears."""

from pathlib import Path

import numpy as np
import pytest
from clips import Means
from sounds import Loudness, loudness, tones, write_film

from wsvad.detection.live import SnippetEncoder
from wsvad.errors import WsvadError
from wsvad.extraction.encode import encode_frames, encode_video
from wsvad.extraction.sound import silence
from wsvad.video.reader import VideoReader

TONES = ((1.0, 2.2), (4.0, 4.4))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {}),
        ("a.mkv", {"codec": "flac", "rate": 16_000, "layout": "mono"}),
        ("a.mkv", {"codec": "pcm_s16le", "sound_from": 0.75}),
        ("a.mkv", {"codec": "pcm_s16le", "pictures_from": 0.8}),
        ("a.mp4", {"pictures_from": 1.2}),
        ("a.ts", {"pictures_from": 0.4}),
        ("a.mkv", {"codec": "pcm_s16le", "missing": [(1.5, 1.9), (4.1, 9.0)]}),
    ],
)
def test_each_snippet_hears_what_sounds_around_its_middle(tmp_path: Path, name: str, options: dict):
    path = write_film(tmp_path / name, tones(*TONES), 6, **options)
    stored = encode_video(path, {"rgb": (Means(count=1),), "audio": (Loudness(),)})["audio"]
    assert stored.times is not None and stored.features.shape == (len(stored.times) - 1, 2)
    begun = 0.0 if name != "a.ts" else 0.4 - float(stored.times[0])  # there the clock begins with the sound
    left = options.get("missing", [])
    for row, middle in zip(stored.features, (stored.times[1:] + stored.times[:-1]) / 2, strict=True):
        spans = list(TONES) if not left else [(1.0, 1.5), (1.9, 2.2), (4.0, 4.1)]
        np.testing.assert_allclose(row, loudness(tones(*spans), middle + begun), atol=0.04)


def test_streams_of_frames_are_as_they_were(tmp_path: Path):
    path = write_film(tmp_path / "a.mp4", tones(*TONES), 2)
    both = encode_video(path, {"audio": (Loudness(),), "rgb": (Means(count=1),)})
    alone = encode_video(path, {"rgb": (Means(count=1),)})["rgb"]
    assert list(both) == ["audio", "rgb"]
    np.testing.assert_array_equal(both["rgb"].features, alone.features)
    assert both["rgb"].passport == alone.passport and both["audio"].passport.encoder == "loudness"
    reported: list[int] = []
    only = encode_video(path, {"audio": (Loudness(),)}, reported.append)["audio"]
    assert reported == [16] * (sum(reported) // 16) + [sum(reported) % 16]  # as it is read, not at its end
    np.testing.assert_array_equal(only.features, both["audio"].features)
    np.testing.assert_array_equal(only.times, alone.times)


def test_a_video_without_sound_is_silent_and_says_so(tmp_path: Path):
    path, encoders = write_film(tmp_path / "a.mp4", None, 3), {"rgb": (Means(count=1),), "audio": (Loudness(),)}
    stored = encode_video(path, encoders)
    assert stored["audio"].features.shape == (5, 2) and not stored["audio"].features.any()
    assert silence(path, encoders) == f"{path}: has no sound; its audio features are those of silence"
    assert silence(path, {"rgb": encoders["rgb"]}) == ""
    assert silence(write_film(tmp_path / "b.mp4", tones(*TONES), 1), encoders) == ""


def test_a_live_source_has_no_sound(tmp_path: Path):
    with pytest.raises(WsvadError, match="audio is made from the sound of a file, and frames have none"):
        SnippetEncoder({"audio": (Loudness(),)})
    with VideoReader(write_film(tmp_path / "a.mp4", None, 1)) as video, pytest.raises(WsvadError, match="frames have"):
        encode_frames(video, {"audio": (Loudness(),)})


def test_an_encoder_keeps_its_word(tmp_path: Path):
    class Wrong(Loudness):
        width = 3

    with pytest.raises(WsvadError, match=r"loudness: gave features of shape \(2, 2\) for 2 snippets, not \(2, 3\)"):
        encode_video(write_film(tmp_path / "a.mp4", None, 1), {"audio": (Wrong(),)})
