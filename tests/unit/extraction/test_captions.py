"""Captions on the snippet clock, so that a text stream stands beside streams of video."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import WsvadError
from wsvad.extraction.captions import extract_captions
from wsvad.features.store import feature_path, load

WORDS = ["walking", "running", "falling", "fighting", "sleeping", "driving", "burning"]


def written(folder: Path, captions: int, frames: int) -> tuple[Path, Dataset, list[str]]:
    texts = [f"somebody {word}" for word in WORDS[:captions]]
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps({"video": name, "captions": texts}) + "\n" for name in ("a.mp4", "b.mp4")))
    videos = tuple(
        LabelledVideo(name=name, label=0, category="normal", split="train", frames=frames)
        for name in ("a.mp4", "b.mp4")
    )
    return path, Dataset(name="made", videos=videos), texts


@pytest.mark.parametrize(
    ("captions", "frames"), [(2, 100), (7, 100), (3, 1), (3, 16), (7, 17), (2, 33), (5, 160), (7, 30), (3, 47)]
)
def test_a_row_is_the_caption_of_the_frame_in_the_middle_of_its_snippet(tmp_path: Path, captions: int, frames: int):
    path, videos, texts = written(tmp_path, captions, frames)
    encoder = extract_captions(f"lsa:{path}", videos, tmp_path, "text", snippet_clock=True)
    stored = load(feature_path(tmp_path, "text", "a.mp4"))

    # By frames: each frame has its caption; each snippet is a piece of the list.
    span = -(-frames // captions)
    captions_of_frames = [texts[frame // span] for frame in range(frames)]
    snippets = [captions_of_frames[start : start + 16] for start in range(0, frames, 16)]
    wanted = [snippet[len(snippet) // 2] for snippet in snippets]
    np.testing.assert_array_equal(stored.features, encoder.encode(wanted))
    assert stored.passport.stride == 16 and stored.passport.frames == frames
    assert len(stored.features) == -(-frames // 16)


def test_the_two_clocks_are_not_mixed(tmp_path: Path):
    path, videos, _ = written(tmp_path, 5, 100)
    extract_captions(f"lsa:{path}", videos, tmp_path, "text")
    assert load(feature_path(tmp_path, "text", "a.mp4")).passport.stride == 20
    with pytest.raises(WsvadError, match=r"made from other captions or settings .*clock"):
        extract_captions(f"lsa:{path}", videos, tmp_path, "text", snippet_clock=True)


def test_a_second_run_leaves_what_is_there(tmp_path: Path):
    path, videos, _ = written(tmp_path, 5, 100)
    extract_captions(f"lsa:{path}", videos, tmp_path, "text", snippet_clock=True)
    file = feature_path(tmp_path, "text", "a.mp4")
    before = file.stat().st_mtime_ns
    extract_captions(f"lsa:{path}", videos, tmp_path, "text", snippet_clock=True)
    assert file.stat().st_mtime_ns == before


def test_without_labels_there_is_nothing_that_lsa_could_learn_from(tmp_path: Path):
    path, videos, _ = written(tmp_path, 3, 48)
    unlabelled = replace(videos, videos=tuple(replace(video, split="test") for video in videos.videos))
    with pytest.raises(WsvadError, match=r"nothing says which these are; add labels\.csv, or use sentence:"):
        extract_captions(f"lsa:{path}", unlabelled, tmp_path, "text", snippet_clock=True)
