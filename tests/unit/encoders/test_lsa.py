"""Latent semantic analysis of captions, against a plain computation, and the feature folder made by it."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.encoders.captions_file import Captioned, read_captions
from wsvad.encoders.lsa import Lsa
from wsvad.errors import WsvadError
from wsvad.extraction.captions import extract_captions
from wsvad.features.store import feature_path, load

UCF = SHARED / "data" / "ucf-crime-captions" / "captions.jsonl"
CAPTIONS = {
    "a.mp4": ["a man walks a dog", "a man runs", "two people fight in the street"],
    "b.mp4": ["a car stops", "a car hits a man", "people run away in the street"],
    "c.mp4": ["a dog sits", "a dog runs and a dog barks", "the street is empty"],
}
RUNS = ["a man runs"]
TEXTS = [caption for video in CAPTIONS.values() for caption in video]


def terms_of(caption: str) -> list[str]:
    words = [word for word in caption.lower().split() if len(word) > 1]
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def plain_tf_idf(texts: list[str], vocabulary: list[str]) -> np.ndarray:
    """(1 + log n) · (1 + log((1 + N) / (1 + df))), rows of length 1."""
    documents = Counter(term for text in TEXTS for term in set(terms_of(text)))
    rows = np.zeros((len(texts), len(vocabulary)))
    for row, text in zip(rows, texts, strict=True):
        for term, count in Counter(terms_of(text)).items():
            if term in vocabulary:
                idf = 1 + np.log((1 + len(TEXTS)) / (1 + documents[term]))
                row[vocabulary.index(term)] = (1 + np.log(count)) * idf
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def test_it_is_the_truncated_svd_of_tf_idf():
    encoder = Lsa.fit(CAPTIONS, width=4)
    assert encoder.terms == sorted({term for text in TEXTS for term in terms_of(text)})
    weights = plain_tf_idf(TEXTS, encoder.terms)
    _, _, directions = np.linalg.svd(weights, full_matrices=False)
    # Directions are unique up to sign, which cosines between captions do not see.
    np.testing.assert_allclose(cosines(encoder.encode(TEXTS)), cosines(weights @ directions[:4].T), atol=1e-4)


def test_signs_are_fixed_and_directions_orthonormal():
    encoder = Lsa.fit(CAPTIONS, width=5)
    largest = np.abs(encoder.components_DV).argmax(1)
    assert (encoder.components_DV[np.arange(5), largest] > 0).all()
    np.testing.assert_allclose(encoder.components_DV @ encoder.components_DV.T, np.eye(5), atol=1e-5)


def test_the_same_captions_give_the_same_encoder():
    one, two = Lsa.fit(CAPTIONS, width=4), Lsa.fit(dict(CAPTIONS), width=4)
    np.testing.assert_array_equal(one.components_DV, two.components_DV)
    assert one.passport() == two.passport()
    other = Lsa.fit(CAPTIONS | {"d.mp4": ["a new thing happens"]}, width=4)
    assert other.passport()["weights"] != one.passport()["weights"]


def test_saved_and_loaded_it_is_the_same(tmp_path: Path):
    encoder = Lsa.fit(CAPTIONS, width=4)
    encoder.save(tmp_path / "lsa.safetensors")
    again = Lsa.load(tmp_path / "lsa.safetensors")
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert again.passport() == encoder.passport()
    encoder.save(tmp_path / "twice.safetensors")
    assert (tmp_path / "twice.safetensors").read_bytes() == (tmp_path / "lsa.safetensors").read_bytes()


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(st.text(alphabet="adgmnor é1🙂", max_size=20), max_size=5))
def test_any_text_has_length_one_or_nothing(texts: list[str]):
    features = ENCODER.encode(texts)
    assert features.shape == (len(texts), 4) and features.dtype == np.float32
    lengths = np.linalg.norm(features, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))


ENCODER = Lsa.fit(CAPTIONS, width=4)


@pytest.mark.parametrize(("captions", "width"), [(["one two", "two"], 2), (["one", "two", "one", "two"], 2)])
def test_width_is_bounded_by_captions_and_terms(captions: list[str], width: int):
    encoder = Lsa.fit({"a": captions}, width=512)
    assert encoder.width == width and encoder.encode(["two"]).shape == (1, width)


def test_captions_without_a_word():
    with pytest.raises(WsvadError, match="no words"):
        Lsa.fit({"a": ["?", "!"]})


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


def test_captions_are_read_as_written(tmp_path: Path):
    lines = [{"video": name, "captions": captions} for name, captions in CAPTIONS.items()]
    found = read_captions(write(tmp_path / "c.jsonl", *lines, "", "  "))
    assert {name: each.captions for name, each in found.items()} == CAPTIONS


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ("{not json", "line 2: expected"),
        ({"video": "a"}, "line 2: expected"),
        ({"video": "a", "captions": []}, "line 2: expected"),
        ({"video": "a", "captions": ["x", 3]}, "line 2: expected"),
        ({"video": 7, "captions": ["x"]}, "line 2: expected"),
        (["a"], "line 2: expected"),
        ({"video": "first", "captions": ["again"]}, "line 2: 'first' has captions already"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, second: object, told: str):
    path = write(tmp_path / "c.jsonl", {"video": "first", "captions": ["x"]}, second)
    with pytest.raises(WsvadError, match=told) as caught:
        read_captions(path)
    assert str(path) in str(caught.value)


def test_files_that_are_not_there_or_something_else(tmp_path: Path):
    with pytest.raises(WsvadError, match="there is no such file"):
        read_captions(tmp_path / "none")
    with pytest.raises(WsvadError, match="no such fitted"):
        Lsa.load(tmp_path / "none")
    (tmp_path / "text").write_text("text")
    with pytest.raises(WsvadError, match="not a fitted lsa encoder"):
        Lsa.load(tmp_path / "text")


def dataset(**frames: int | None) -> Dataset:
    videos = [
        LabelledVideo(
            name=f"{name}.mp4",
            label=int(name == "b"),
            category="normal",
            split="test" if name == "c" else "train",
            frames=count,
        )
        for name, count in frames.items()
    ]
    return Dataset(name="toy", videos=tuple(videos))


def captions_file(folder: Path, **other: list[str]) -> Path:
    captions = CAPTIONS | {f"{name}.mp4": texts for name, texts in other.items()}
    return write(folder / "c.jsonl", *({"video": name, "captions": texts} for name, texts in captions.items()))


def test_a_dataset_becomes_a_feature_folder_fitted_on_training_videos_alone(tmp_path: Path):
    encoder = extract_captions(
        f"lsa:{captions_file(tmp_path)}", dataset(a=30, b=31, c=2), tmp_path, stream="text", width=4
    )
    train = {name: CAPTIONS[name] for name in ("a.mp4", "b.mp4")}
    assert encoder.passport() == Lsa.fit(train, width=4).passport()
    assert not any("barks" in term for term in encoder.terms)
    for name, stride, frames in (("a.mp4", 10, 30), ("b.mp4", 11, 31), ("c.mp4", 1, 2)):
        stored = load(feature_path(tmp_path, "text", name))
        np.testing.assert_array_equal(stored.features, encoder.encode(CAPTIONS[name]))
        passport = stored.passport
        assert (passport.stride, passport.frames, passport.window) == (stride, frames, None)
        assert passport.weights == encoder.passport()["weights"]
    assert Lsa.load(tmp_path / "text" / "lsa.safetensors").passport() == encoder.passport()


def test_videos_without_captions_or_length_are_named_before_anything_is_written(tmp_path: Path):
    path = captions_file(tmp_path)
    with pytest.raises(WsvadError, match=r"1 of 3 videos have no captions, the first is d\.mp4"):
        extract_captions(f"lsa:{path}", dataset(a=1, b=2, d=3), tmp_path / "out")
    with pytest.raises(WsvadError, match=r"the number of frames of b\.mp4 is not known"):
        extract_captions(f"lsa:{path}", dataset(a=1, b=None, c=3), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def written(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_second_run_adds_what_is_missing_and_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, videos, out = captions_file(tmp_path), dataset(a=30, b=31, c=2), tmp_path / "out"
    extract_captions(f"lsa:{path}", videos, out)
    before, content = written(out / "rgb"), {file.name: file.read_bytes() for file in (out / "rgb").iterdir()}
    feature_path(out, "rgb", "b.mp4").unlink()
    monkeypatch.setattr(Lsa, "fit", None)  # what is fitted is not fitted again
    extract_captions(f"lsa:{path}", videos, out)
    after = written(out / "rgb")
    assert {name for name in after if after[name] != before[name]} == {"b.mp4.safetensors"}
    assert {file.name: file.read_bytes() for file in (out / "rgb").iterdir()} == content


def test_new_captions_of_a_test_video_are_encoded_again_by_the_same_encoder(tmp_path: Path):
    videos = dataset(a=30, b=31, c=2)
    encoder = extract_captions(f"lsa:{captions_file(tmp_path)}", videos, tmp_path)
    before = written(tmp_path / "rgb")
    extract_captions(f"lsa:{captions_file(tmp_path, c=RUNS)}", videos, tmp_path)
    after = written(tmp_path / "rgb")
    assert {name for name in after if after[name] != before[name]} == {"c.mp4.safetensors"}
    stored = load(feature_path(tmp_path, "rgb", "c.mp4"))
    np.testing.assert_array_equal(stored.features, encoder.encode(["a man runs"]))


def test_streams_that_were_made_in_another_way_are_refused(tmp_path: Path):
    videos = dataset(a=30, b=31, c=2)
    extract_captions(f"lsa:{captions_file(tmp_path)}", videos, tmp_path)
    with pytest.raises(WsvadError, match="fitted to other captions or settings"):
        extract_captions(f"lsa:{captions_file(tmp_path)}", videos, tmp_path, width=3)
    with pytest.raises(WsvadError, match="fitted to other captions or settings"):
        extract_captions(f"lsa:{captions_file(tmp_path, a=RUNS)}", videos, tmp_path)
    (tmp_path / "rgb" / "lsa.safetensors").unlink()
    with pytest.raises(
        WsvadError, match=r"a\.mp4\.safetensors: made from other captions or settings .*width: 6 against 3"
    ):
        extract_captions(f"lsa:{captions_file(tmp_path)}", videos, tmp_path, width=3)


@pytest.mark.real
@pytest.mark.skipif(not UCF.exists(), reason="the captions of UCF-Crime are not beside the project")
def test_captions_of_ucf_crime():
    captions = read_captions(UCF)
    assert len(captions) == 1900
    few = {name: each.captions for name, each in list(captions.items())[::10]}
    encoder = Lsa.fit(few, width=64)
    driving, also_driving, shopping = encoder.encode(
        ["a person is driving a car on the street", "a man drives down the road", "a woman looks at items in a store"]
    )
    assert driving @ also_driving > driving @ shopping


def test_captions_are_found_by_any_spelling_of_a_name(tmp_path):
    path = write(tmp_path / "c.jsonl", json.dumps({"video": ".\\gate\\cafe\u0301.mp4", "captions": ["a man"]}))
    assert read_captions(path) == {"gate/caf\u00e9.mp4": Captioned(captions=["a man"])}
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps({"video": "gate/caf\u00e9.mp4", "captions": ["a dog"]}))
    with pytest.raises(WsvadError, match=r"line 3: 'gate/caf.\.mp4' has captions already"):
        read_captions(path)
