"""Videos to captions.jsonl: which frames are looked at, what is kept, what is refused."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import index_of, write_clip

from wsvad.encoders.captioner import one_line
from wsvad.encoders.captions_file import passport_path, read_captions
from wsvad.errors import Interrupted, UsageError, WsvadError
from wsvad.extraction.captioning import Segment, caption_videos


class Says:
    """Stands for a model: the indices of the frames that it sees."""

    folder = Path("says")

    def __init__(self, frames: int = 1, prompt: str = "", stops_at: int = -1):
        self.frames, self.prompt, self.stops_at, self.seen = frames, prompt, stops_at, 0

    def describe(self, pictures: list[np.ndarray]) -> str:
        if self.seen == self.stops_at:
            raise KeyboardInterrupt
        self.seen += 1
        return " ".join(str(index_of(picture)) for picture in pictures)

    def passport(self) -> dict[str, str | int]:
        return {"model": "says", "weights": "0", "prompt": self.prompt, "frames": self.frames, "tokens": 9}


def caption(says: Says, out: Path, *videos: Path, segment: str = "8"):
    return caption_videos({path.name: path for path in videos}, says, out, segment=Segment(segment))


@pytest.mark.parametrize(
    ("segment", "frames", "stride", "captions"),
    [
        ("8", 1, 8, ["4", "12", "20"]),  # the last four frames, of which the middle of eight is none
        ("8", 2, 8, ["2 6", "10 14", "18"]),
        ("10", 1, 10, ["5", "15"]),
        ("20", 4, 20, ["2 7 12 17"]),
        ("0.5s", 1, 5, ["2", "7", "12", "17"]),
        ("1s", 1, 10, ["5", "15"]),
        ("500", 1, 500, ["19"]),
        ("2", 8, 2, [f"{i} {i + 1}" for i in range(0, 20, 2)]),
    ],
)
def test_which_frames_a_caption_is_about(tmp_path: Path, segment: str, frames: int, stride: int, captions: list[str]):
    path = write_clip(tmp_path / "a.mp4", 20, rate=10)
    assert caption(Says(frames), tmp_path / "c.jsonl", path, segment=segment).done == 1
    written = read_captions(tmp_path / "c.jsonl")["a.mp4"]
    if segment == "8" and frames == 1:
        captions = ["4", "12", "19"]
    assert (written.captions, written.stride, written.frames) == (captions, stride, 20)


@pytest.mark.parametrize(
    ("text", "frames"), [("5s", 150), ("80", 80), (" 0.01s ", 1), ("2.5s", 75), ("1", 1), ("3600s", 107_892)]
)
def test_lengths_of_segments(text: str, frames: int):
    assert Segment(text).frames(Fraction(30000, 1001)) == frames


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "5 s", "2.5", "1e3", "nan", "3601s", "5m", "9999999", "５s"])
def test_what_is_no_length(tmp_path: Path, text: str):
    with pytest.raises(UsageError, match="write seconds, as in 5s, or frames, as in 80"):
        caption(Says(), tmp_path / "c.jsonl", segment=text)
    assert list(tmp_path.iterdir()) == []


def test_the_passport_stands_beside_the_captions(tmp_path: Path):
    caption(Says(prompt="what?"), tmp_path / "c.jsonl", write_clip(tmp_path / "a.mp4", 9))
    said = json.loads(passport_path(tmp_path / "c.jsonl").read_text())
    assert said["model"] == "says" and said["prompt"] == "what?" and said["segment"] == "8"
    assert said["decoder"].startswith("PyAV")


def test_the_same_command_goes_on(tmp_path: Path):
    out, videos = tmp_path / "c.jsonl", [write_clip(tmp_path / f"{name}.mp4", 24) for name in "abc"]
    with pytest.raises(Interrupted, match="1 of 3 videos are finished and kept; run the same command again"):
        caption(Says(stops_at=4), out, *videos)
    with out.open("a") as file:  # a line that a power cut has left
        file.write('{"video": "b.mp4", "capt')
    again = Says()
    found = caption(again, out, *videos)
    assert (found.done, found.reused, again.seen) == (2, 1, 6)
    undisturbed = tmp_path / "other" / "c.jsonl"
    caption(Says(), undisturbed, *videos)
    assert out.read_bytes() == undisturbed.read_bytes()
    last = Says()
    assert caption(last, out, *videos).reused == 3 and last.seen == 0


def test_a_video_that_has_changed_is_captioned_again(tmp_path: Path):
    out, videos = tmp_path / "c.jsonl", [write_clip(tmp_path / f"{name}.mp4", 8) for name in "ab"]
    caption(Says(), out, *videos)
    write_clip(tmp_path / "a.mp4", 8, first=10)
    assert caption(Says(), out, *videos).done == 1
    assert {name: each.captions for name, each in read_captions(out).items()} == {"a.mp4": ["14"], "b.mp4": ["4"]}


def test_captions_made_in_another_way_are_not_mixed(tmp_path: Path):
    out, path = tmp_path / "c.jsonl", write_clip(tmp_path / "a.mp4", 8)
    caption(Says(prompt="one"), out, path)
    before = out.read_bytes()
    with pytest.raises(WsvadError, match=r"written in another way \(prompt: one against two\); choose another --out"):
        caption(Says(prompt="two"), out, path)
    passport_path(out).unlink()
    with pytest.raises(WsvadError, match="written in another way; choose another"):
        caption(Says(prompt="one"), out, path)
    assert out.read_bytes() == before
    with pytest.raises(WsvadError, match="written in another way"):
        caption(Says(), path, path)  # a video as the captions file
    assert path.stat().st_size > 0


def test_a_video_that_cannot_be_read_is_left_out(tmp_path: Path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    found = caption(Says(), tmp_path / "c.jsonl", tmp_path / "bad.mp4", write_clip(tmp_path / "a.mp4", 8))
    assert found.done == 1 and "not a video" in found.failed["bad.mp4"]
    assert list(read_captions(tmp_path / "c.jsonl")) == ["a.mp4"]


def test_a_model_that_gives_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Says, "describe", lambda self, pictures: "")
    with pytest.raises(WsvadError, match=r"says: it gives no text for any segment of a\.mp4; use another model"):
        caption(Says(), tmp_path / "c.jsonl", write_clip(tmp_path / "a.mp4", 8))
    assert not (tmp_path / "c.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a man walks\n and\r\nruns", "a man walks and runs"),
        ("\x1b[31mred\x07", "[31mred"),
        ("a\u2028b\u202ec\ud800d\u0085e", "a b c d e"),
        ("  ", ""),
        ("x" * 5000, "x" * 2000),
    ],
)
def test_what_a_model_says_is_one_harmless_line(text: str, line: str):
    assert one_line(text) == line
