"""`sentence`: captions by a sentence encoder, against the vectors of its words."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from places import SHARED
from sentence_models import TABLE, WORDS, write_bert, write_network, write_onnx_model, write_tokenizer

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.encoders.sentence import Sentence, divided
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.captions import extract_captions
from wsvad.features.store import feature_path, load

MINILM = SHARED / "models" / "minilm"


def ids(caption: str) -> list[int]:
    known = [WORDS.index(word) if word in WORDS else 0 for word in caption.lower().split()]
    return [1, *known, 2]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def encoder(model: Path, **settings: object) -> Sentence:
    if settings:
        path = model / "words.onnx" if (model / "words.onnx").exists() else model
        path.with_name(path.name + ".yaml").write_text(json.dumps(settings))
    return Sentence(f"{model}:captions.jsonl")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert") / "bert")


def test_a_caption_is_the_mean_of_its_tokens(tmp_path: Path):
    sentence = encoder(write_onnx_model(tmp_path / "words"))
    captions = ["a man walks", "A dog", "", "a zebra runs"]
    expected = [unit(TABLE[ids(caption)].mean(0)) for caption in captions]
    np.testing.assert_allclose(sentence.encode(captions), expected, rtol=1e-5)
    assert sentence.encode([]).shape == (0, 6)


@pytest.mark.parametrize(
    ("settings", "vector"),
    [
        ({"pooling": "cls"}, lambda rows: unit(rows[0])),
        ({"pooling": "max"}, lambda rows: unit(rows.max(0))),
        ({"normalise": False}, lambda rows: rows.mean(0)),
        ({"length": 3}, lambda rows: unit(rows[[0, 1, -1]].mean(0))),
        ({"output": "sentence", "normalise": False}, lambda rows: rows.sum(0)),
    ],
)
def test_settings_are_followed_and_stand_in_the_passport(tmp_path: Path, settings, vector):
    plain = encoder(write_onnx_model(tmp_path / "words"))
    asked = encoder(tmp_path / "words", **settings)
    np.testing.assert_allclose(asked.encode(["a man fights a dog"])[0], vector(TABLE[ids("a man fights a dog")]), 1e-5)
    assert asked.passport()["settings"] != plain.passport()["settings"]
    assert asked.passport()["weights"] == plain.passport()["weights"]


def test_other_captions_change_no_bit(bert: Path):
    sentence, captions = encoder(bert), ["a man walks a dog a man walks a dog", "a man", "", "a dog sleeps", "a man"]
    together = sentence.encode(captions)
    np.testing.assert_array_equal(together[::-1], sentence.encode(captions[::-1]))
    fresh = [encoder(bert).encode([caption])[0] for caption in captions]
    np.testing.assert_array_equal(together, fresh)


def test_a_model_of_transformers_is_that_model(bert: Path):
    from transformers import BertModel

    model = BertModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        tokens = model(torch.tensor([ids("a man walks")])).last_hidden_state[0].numpy()
    sentence = encoder(bert)
    np.testing.assert_allclose(sentence.encode(["a man walks"])[0], unit(tokens.mean(0)), rtol=1e-5, atol=1e-6)
    assert sentence.settings == {"pooling": "mean", "normalise": True, "length": 14}
    assert sentence.encode(["dog " * 40]).shape == (1, 8)  # more than it has positions for


def test_pooling_and_length_are_as_sentence_transformers_says(bert: Path, tmp_path: Path):
    folder = shutil.copytree(bert, tmp_path / "bert")
    (folder / "1_Pooling").mkdir()
    said = {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 5}))
    assert encoder(folder).settings == {"pooling": "cls", "normalise": True, "length": 5}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}))
    with pytest.raises(WsvadError, match="pooling by lasttoken; choose another by 'pooling: mean'"):
        encoder(folder)
    assert encoder(folder, pooling="max").settings["pooling"] == "max"


def test_a_model_may_be_named_as_in_the_cache(tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch):
    snapshot = tmp_path / "hub" / "models--org--mini" / "snapshots" / ("0" * 40)
    shutil.copytree(bert, snapshot)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    assert Sentence.resolve("org/mini:captions.jsonl") == f"org/mini:{tmp_path}/captions.jsonl"
    named, there = Sentence("org/mini:captions.jsonl"), encoder(bert)
    np.testing.assert_array_equal(named.encode(["a man runs"]), there.encode(["a man runs"]))
    assert named.passport() == there.passport() | {"encoder": "sentence:mini"}
    with pytest.raises(WsvadError, match="org/other: neither a folder nor a model in the cache"):
        Sentence("org/other:captions.jsonl")


def test_the_passport_follows_the_files_and_not_their_place(tmp_path: Path):
    one = encoder(write_onnx_model(tmp_path / "one" / "words")).passport()
    assert one == encoder(write_onnx_model(tmp_path / "two" / "words")).passport()
    assert one["encoder"] == "sentence:words" and one["settings"]["length"] == 512
    write_tokenizer(tmp_path / "two" / "words", longest=9)
    other = encoder(tmp_path / "two" / "words").passport()
    assert other["settings"]["length"] == 9 and other["weights"] != one["weights"]


@pytest.mark.parametrize(
    ("argument", "there", "parts"),
    [
        ("mini:captions.jsonl", (), ("mini", "captions.jsonl")),
        ("a:b:c.jsonl", (), ("a:b", "c.jsonl")),
        ("a:b:c.jsonl", ("a", "b:c.jsonl"), ("a", "b:c.jsonl")),
        ("a:b:c.jsonl", ("a:b", "c.jsonl"), ("a:b", "c.jsonl")),
        ("x+motion:c+pose:d.jsonl", ("x+motion", "c+pose:d.jsonl"), ("x+motion", "c+pose:d.jsonl")),
    ],
)
def test_names_of_files_may_hold_colons(tmp_path: Path, monkeypatch, argument, there, parts):
    monkeypatch.chdir(tmp_path)
    for name in there:
        (tmp_path / name).touch()
    assert divided(argument) == parts
    resolved = Sentence.resolve(argument)
    assert resolved == ":".join(f"{tmp_path}/{part}" for part in parts)
    assert Sentence.resolve(resolved) == resolved
    assert Sentence.captions(argument) == Path(parts[1])


@pytest.mark.parametrize("argument", ["mini", "mini:", ":c.jsonl", ":", " : "])
def test_the_captions_must_be_named(argument: str):
    with pytest.raises(UsageError, match=r"write sentence:MODEL:captions\.jsonl"):
        divided(argument)


def pickled(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "pytorch_model.bin").touch()
    (folder / "words.onnx").unlink()


def of_pictures(folder: Path) -> None:
    from transformers import ViTConfig, ViTModel

    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ViTModel(ViTConfig(image_size=32, patch_size=16, **small)).save_pretrained(folder)


def another_shape(folder: Path) -> None:
    write_bert(folder)
    config = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 32}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no such folder; name a folder"),
        (lambda folder: (folder / "words.onnx").unlink(), "it has no config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: there is no such file"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json: not a tokenizer"),
        (lambda folder: (folder / "words.onnx").write_bytes(b"no"), "not a network in ONNX format"),
        (lambda folder: write_network(folder / "b.onnx"), r"several networks \(b\.onnx, words\.onnx\); name one"),
        (lambda folder: write_network(folder / "words.onnx", ("pixels",)), "'pixels' .* is not one of a sentence"),
        (lambda folder: (folder / "words.onnx.yaml").write_text("pooling: last"), "pooling .*mean or cls or max"),
        (lambda folder: (folder / "words.onnx.yaml").write_text("output: x"), "no output 'x'; its outputs are: tokens"),
        (lambda folder: (folder / "words.onnx.yaml").write_text("lenght: 3"), "lenght.*the fields are: pooling"),
        (pickled, "its only weights are pytorch_model.bin, a format that can run code"),
        (of_pictures, "not a model of sentences"),
        (another_shape, r"'encoder.layer.0.intermediate.dense.bias' is \[16\] where config.json says \[32\]"),
    ],
)
def test_what_is_no_sentence_encoder_is_one_line(tmp_path: Path, spoil, told: str):
    folder = write_onnx_model(tmp_path / "words")
    spoil(folder)
    with pytest.raises(WsvadError, match=told) as caught:
        encoder(folder)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def change(folder: Path, **fields: object) -> None:
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(json.dumps(json.loads(tokenizer.read_text()) | fields))


def test_a_pattern_that_tries_for_ever_is_one_line(tmp_path: Path):
    """The library in Rust gives up, by an error that is none of `Exception`."""
    folder = write_onnx_model(tmp_path / "words")
    change(folder, normalizer={"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": "q"})
    with pytest.raises(WsvadError, match=r"words: its tokenizer\.json does not read 'xxx.*use the model's"):
        encoder(folder).encode(["x" * 3000])


def test_of_a_long_caption_no_more_is_read_than_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tokenizers import Tokenizer

    sentence, read = encoder(write_onnx_model(tmp_path / "words"), length=8), []
    encode = Tokenizer.encode

    class Counted:
        def encode(self, text: str):
            read.append(len(text))
            return encode(tokenizer, text)

    tokenizer, sentence._tokenizer = sentence._tokenizer, Counted()
    np.testing.assert_array_equal(sentence.encode(["a man " * 10**6]), sentence.encode(["a man " * 3]))
    assert read == [8 * 64, 18]


def dataset(frames: int | None) -> Dataset:
    videos = [LabelledVideo(name=name, label=0, category="normal", split="train", frames=frames) for name in "ab"]
    return Dataset(name="made", videos=tuple(videos))


def write_captions(path: Path, **line: object) -> Path:
    texts = ["a man walks", "a dog runs", "a man fights a dog"]
    path.write_text("".join(json.dumps({"video": name, "captions": texts} | line) + "\n" for name in "ab"))
    return path


@pytest.mark.parametrize(("snippets", "rows"), [(False, [0, 1, 2]), (True, [0, 0, 1, 1, 1, 2, 2])])
def test_a_stream_on_either_clock(tmp_path: Path, snippets: bool, rows: list[int]):
    """100 frames, 40 for each caption: the middles of seven snippets are 8, 24, 40, 56, 72, 88 and 98."""
    file, model = write_captions(tmp_path / "c.jsonl", frames=100, stride=40), write_onnx_model(tmp_path / "words")
    spec = f"sentence:{model}:{file}"
    made = extract_captions(spec, dataset(None), tmp_path, "text", snippet_clock=snippets)
    stored = load(feature_path(tmp_path, "text", "a"))
    texts = ["a man walks", "a dog runs", "a man fights a dog"]
    np.testing.assert_array_equal(stored.features, made.encode([texts[row] for row in rows]))
    assert (stored.passport.stride, stored.passport.frames) == (16 if snippets else 40, 100)
    assert stored.passport.encoder == "sentence:words"


def test_the_passport_of_the_captions_is_part_of_the_features(tmp_path: Path):
    file, model = write_captions(tmp_path / "c.jsonl"), write_onnx_model(tmp_path / "words")
    (tmp_path / "c.jsonl.passport.json").write_text(json.dumps({"model": "blip", "prompt": "what happens?"}))
    extract_captions(f"sentence:{model}:{file}", dataset(60), tmp_path, "text")
    settings = load(feature_path(tmp_path, "text", "a")).passport.settings
    assert settings["captions"] == {"model": "blip", "prompt": "what happens?"}
    (tmp_path / "c.jsonl.passport.json").write_text(json.dumps({"model": "llava", "prompt": "what happens?"}))
    with pytest.raises(WsvadError, match=r"captions\.model: blip against llava"):
        extract_captions(f"sentence:{model}:{file}", dataset(60), tmp_path, "text")
    for other in ("[1]", '{"a": NaN}', '{"a": null}', '{"a": "\\ud800"}', '{"a": 1e999}'):
        (tmp_path / "c.jsonl.passport.json").write_text(other)
        with pytest.raises(WsvadError, match="not a passport of captions"):
            extract_captions(f"sentence:{model}:{file}", dataset(60), tmp_path, "text")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"stride": 0}, "line 1: .*stride"),
        ({"frames": 100, "stride": 10}, "line 1: 3 captions, where 100 frames with one for each 10 need 10"),
        ({"stride": 10}, "a has 100 frames by the labels, but 3 captions of 10 frames"),
    ],
)
def test_captions_of_another_video_are_refused(tmp_path: Path, line: dict[str, int], told: str):
    file, model = write_captions(tmp_path / "c.jsonl", **line), write_onnx_model(tmp_path / "words")
    with pytest.raises(WsvadError, match=told):
        extract_captions(f"sentence:{model}:{file}", dataset(100), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.real
@pytest.mark.skipif(not MINILM.exists(), reason="the real networks are not beside the project")
def test_a_real_network_knows_what_words_mean():
    """No word is shared but "a" and "the". Padding would change the numbers of a network in eight bits."""
    sentence = encoder(MINILM)
    captions = ["a man hits another with his fist", "two people are fighting", "a car waits at the lights"]
    together = sentence.encode(captions)
    hits, fighting, car = together
    assert hits @ fighting > hits @ car + 0.2
    np.testing.assert_array_equal(together[1], encoder(MINILM).encode(captions[1:2])[0])
    assert sentence.width == 384 and sentence.settings["length"] == 128
