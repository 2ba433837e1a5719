"""`sentence:MODEL:captions.jsonl`: captions to a text stream, by a sentence encoder that needs no fitting.

MODEL is an ONNX network beside its `tokenizer.json` (the file, or a folder with one such file), or a local folder of
`transformers` with weights in safetensors. A caption is cut into tokens, at most `length` of them; the network gives a
vector for each, and the caption's is their mean (or the first token's, or the maximum), scaled to length 1. A network
that gives one vector a sentence is taken at its word. What files do not say stands in `MODEL.yaml`, with the fields of
`SentenceSettings`.

Every caption goes through the network by itself, so that no other one, and no padding, changes its numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from wsvad.encoders.beside import beside
from wsvad.encoders.encoder import file_argument
from wsvad.encoders.hf import files as hf_files
from wsvad.encoders.runtime import open_network, output_of
from wsvad.encoders.transformer_folder import is_transformer, model_hash, open_model
from wsvad.errors import UsageError, WsvadError, panics
from wsvad.files import read_json, sha256
from wsvad.ranges import Range
from wsvad.spelling import plain, reason, short

LENGTH = 512
"""Tokens of the longest caption, where no file says it."""
MOST_JSON = 2**20
"""Bytes of a model's settings."""
MOST_TOKENIZER = 64 * 2**20
"""Bytes of a tokenizer's file, at most; those of a quarter of a million words have 17 million."""
LETTERS = 64
"""Of a caption for each token that is used, at most. What is behind would be cut off after it was read."""
KEPT = 2**14
"""Captions whose vectors are kept: cameras see the same again and again."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What a network may read, by the names that exporters give."""
Pooling = Literal["mean", "cls", "max"]
POOLED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda vectors: vectors.mean(0),
    "cls": lambda vectors: vectors[0],
    "max": lambda vectors: vectors.max(0),
}
"""`(L, D)` → `(D,)`."""


@dataclass(frozen=True, kw_only=True)
class SentenceSettings:
    """How a caption becomes a vector. None means: as the files of the model say."""

    pooling: Pooling | None = None
    """Over the tokens: their mean, the first one's vector, or the maximum."""
    normalise: bool = True
    """Whether vectors are scaled to length 1."""
    length: Annotated[int, Range(2, 2**15)] | None = None
    """Tokens of a caption, at most; what is longer is cut off."""
    output: str | None = None
    """Name of the output of an ONNX network that is used, or of any tensor inside of it."""


class Sentence:
    """The encoder `sentence`. It reads captions, so it is run by `wsvad.extraction.captions`, not on frames."""

    input = "captions"
    argument = "MODEL:captions.jsonl"
    summary = "captions, by a sentence encoder: an ONNX file or a folder of transformers, with its tokenizer.json"
    extra = "transformers"
    runtime = "tokenizers"

    def __init__(self, argument: str):
        """
        Args:
            argument: `MODEL:captions.jsonl`.

        Raises:
            UsageError: the captions are not named.
            WsvadError: the model is missing or broken, or a library that runs it is not installed.
        """
        self.name = f"sentence:{argument}"
        self.path = Path(divided(argument)[0])
        self._network, folder, asked = _opened(self.path)
        self._tokenizer = _tokenizer(folder)
        self._weights = self._network.hash(folder / "tokenizer.json")
        known = (self._tokenizer.truncation or {}).get("max_length")
        length = asked.length or _number(folder / "sentence_bert_config.json", "max_seq_length") or known or LENGTH
        self.settings = {
            "pooling": asked.pooling or _pooling(folder),
            "normalise": asked.normalise,
            "length": min(length, _positions(folder)),
        } | ({"output": self._network.output} if self._network.output else {})
        self._tokenizer.no_padding()
        try:
            self._tokenizer.enable_truncation(self.settings["length"])
        except Exception as error:  # shorter than the tokens that it adds to each sentence
            raise WsvadError(f"{self.path}: a length of {self.settings['length']} tokens ({reason(error)})") from None
        self._vector = lru_cache(KEPT)(self._vector_of)
        self.width = len(self._vector_of("a"))

    @staticmethod
    def resolve(argument: str) -> str:
        """Both files as absolute paths; a model's name in the cache as it is."""
        model, captions = divided(argument)
        return f"{hf_files.resolve(model) if _is_name(model) else file_argument(model)}:{file_argument(captions)}"

    @staticmethod
    def captions(argument: str) -> Path:
        """The captions file."""
        return Path(divided(argument)[1])

    def encode(self, captions: list[str]) -> np.ndarray:
        """T captions → `(T, D)` float32."""
        vectors = [self._vector(caption) for caption in captions]
        return np.stack(vectors) if vectors else np.zeros((0, self.width), dtype=np.float32)

    def passport(self) -> dict[str, object]:
        encoder = f"sentence:{self.path.name}"
        return {"encoder": encoder, "width": self.width, "weights": self._weights, "settings": dict(self.settings)}

    def _vector_of(self, caption: str) -> np.ndarray:
        """The vector of one caption, `(D,)` float32."""
        text = caption[: LETTERS * int(self.settings["length"])].encode("utf-8", "replace").decode()  # no half letters
        try:
            with panics():
                encoded = self._tokenizer.encode(text)
        except Exception as error:  # of the library in Rust, which has one class for all
            raise WsvadError(
                f"{self.path}: its tokenizer.json does not read '{short(caption)}' ({reason(error)}); use the "
                "model's own tokenizer.json"
            ) from None
        if not encoded.ids:  # an empty caption, where the tokenizer adds nothing
            return np.zeros(self.width, dtype=np.float32)
        each = (encoded.ids, encoded.attention_mask, encoded.type_ids)
        output = self._network({name: np.array([row], dtype=np.int64) for name, row in zip(INPUTS, each, strict=True)})
        if output.ndim not in (2, 3) or len(output) != 1 or (output.ndim == 3 and output.shape[1] != len(encoded.ids)):
            raise WsvadError(
                f"{self.path}: its output {list(output.shape)} is not one vector a token; name another by 'output:' in "
                f"{self.path.name}.yaml, or use another network"
            )
        vector = output[0].astype(np.float32)
        if vector.ndim == 2:
            vector = POOLED[str(self.settings["pooling"])](vector)
        if not np.isfinite(vector).all():
            raise WsvadError(f"{self.path}: it gives NaN or infinity for the caption '{short(caption)}'; use another")
        length = np.linalg.norm(vector) if self.settings["normalise"] else 1.0
        return vector / length if length else vector


def divided(argument: str) -> tuple[str, str]:
    """`MODEL:captions.jsonl`, at the colon on both sides of which there is something; else at the last one. Names of
    files may hold colons.

    Raises:
        UsageError: there is no colon, or nothing on one side of it.
    """
    cuts = [place for place, letter in enumerate(argument) if letter == ":" and argument[place + 1 :].strip()]
    pairs = [(argument[:cut], argument[cut + 1 :]) for cut in cuts if argument[:cut].strip()]
    if not pairs:
        raise UsageError(f"'sentence:{argument}' is not complete; write sentence:MODEL:captions.jsonl")
    there = [pair for pair in pairs if all(Path(part).expanduser().exists() for part in pair)]
    return there[-1] if there else pairs[-1]


def _is_name(model: str) -> bool:
    """Whether a model is meant by its name in the cache of Hugging Face's libraries, `ORG/NAME`."""
    return "/" in model and not model.endswith(".onnx") and not Path(model).expanduser().exists()


def _opened(model: Path) -> tuple["_Onnx | _Transformer", Path, SentenceSettings]:
    """The network, the folder with its tokenizer, and what is asked for."""
    model = hf_files.find(str(model)) if _is_name(str(model)) else model
    if model.is_dir() and (is_transformer(model) or not _networks(model)):
        return _Transformer(model), model, beside(model, SentenceSettings)
    path = _only_network(model) if model.is_dir() else model
    asked = beside(path, SentenceSettings)
    return _Onnx(path, asked.output), path.parent, asked


def _networks(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.onnx"))


def _only_network(folder: Path) -> Path:
    found = _networks(folder)
    if len(found) > 1:
        names = ", ".join(plain(path.name) for path in found[:5])
        raise WsvadError(f"{folder}: several networks ({names}); name one, as in sentence:{found[0]}:captions.jsonl")
    return found[0]


class _Onnx:
    """An ONNX network that reads tokens."""

    def __init__(self, path: Path, output: str | None):
        self._file = open_network(path, "onnx")
        inputs = self._file.inputs
        if wrong := [tensor for tensor in inputs if tensor.name not in INPUTS or tensor.dtype.kind != "i"]:
            raise WsvadError(
                f"{path}: its input '{plain(wrong[0].name)}' ({wrong[0].dtype}) is not one of a sentence encoder "
                f"({', '.join(INPUTS)}); use another network"
            )
        if not inputs:
            raise WsvadError(f"{path}: it has no input; use another network")
        self._output = output_of(self._file, output)
        self.output = self._output.name

    def hash(self, tokenizer: Path) -> str:
        return sha256(*self._file.files, tokenizer)

    def __call__(self, tokens: dict[str, np.ndarray]) -> np.ndarray:
        feeds = {tensor.name: tokens[tensor.name].astype(tensor.dtype) for tensor in self._file.inputs}
        return self._output.real(self._file.run(feeds, [self._output.name])[0])


class _Transformer:
    """A model of `transformers` that reads tokens; the last layer's vectors are its output."""

    output = ""

    def __init__(self, folder: Path):
        self._folder = folder
        self._model = open_model(folder, "AutoModel")
        typed = hasattr(getattr(self._model, "embeddings", None), "token_type_embeddings")
        self._inputs = INPUTS if typed else INPUTS[:2]

    def hash(self, tokenizer: Path) -> str:
        return model_hash(self._folder, tokenizer.name)

    def __call__(self, tokens: dict[str, np.ndarray]) -> np.ndarray:
        import torch

        try:
            with torch.inference_mode():
                found = self._model(**{name: torch.from_numpy(tokens[name]) for name in self._inputs})
                return found.last_hidden_state.numpy()
        except Exception as error:  # a model of pictures, say, which reads no tokens
            raise WsvadError(
                f"{self._folder}: not a model of sentences ({type(error).__name__}: {reason(error)}); use another"
            ) from None


def _tokenizer(folder: Path) -> Any:
    """The tokenizer of a model.

    Raises:
        WsvadError: it is missing or broken, or the library that runs it is not installed.
    """
    path = folder / "tokenizer.json"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise WsvadError(
            f"{path}: reading it needs tokenizers, which is not installed; pip install 'wsvad[transformers]'"
        ) from None
    if not path.is_file() or path.stat().st_size > MOST_TOKENIZER:
        raise WsvadError(f"{path}: there is no such file (of at most 64 MB); put the model's own tokenizer.json there")
    try:
        with panics():
            return Tokenizer.from_file(str(path))
    except Exception as error:  # of the library in Rust, which has one class for all
        raise WsvadError(f"{path}: not a tokenizer ({reason(error)}); use the model's own tokenizer.json") from None


def _pooling(folder: Path) -> Pooling:
    """How `sentence-transformers` pools, from `1_Pooling/config.json`; the mean where nothing is said.

    Raises:
        WsvadError: in a way that there is not here.
    """
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    said = read_json(path, most=MOST_JSON)
    modes: dict[str, Pooling] = {"mean_tokens": "mean", "cls_token": "cls", "max_tokens": "max"}
    on = [key for key, value in said.items() if value is True] if isinstance(said, dict) else []
    chosen = [key.removeprefix("pooling_mode_") for key in on if key.startswith("pooling_mode_")]
    if len(chosen) != 1 or chosen[0] not in modes:
        how = plain(" and ".join(chosen)) or "nothing"
        raise WsvadError(f"{path}: pooling by {how}; choose another by 'pooling: mean', cls or max in the YAML file")
    return modes[chosen[0]]


def _positions(folder: Path) -> int:
    """Tokens that the network has positions for. Two fewer than its configuration says: RoBERTa's first are none."""
    return (_number(folder / "config.json", "max_position_embeddings") or 2**15) - 2


def _number(path: Path, key: str) -> int | None:
    """A number of a model's settings in JSON; None where it is not there."""
    said = read_json(path, most=MOST_JSON) if path.is_file() else None
    number = said.get(key) if isinstance(said, dict) else None
    return number if isinstance(number, int) and 2 < number <= 2**15 else None
