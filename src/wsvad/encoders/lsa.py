"""`lsa`: captions to a text stream, by latent semantic analysis: TF-IDF and a truncated SVD, fitted on training videos.

A caption is a bag of its words and word pairs. A term that occurs n times in it weighs 1 + log n, times
how rare the term is among the training captions; the vector is scaled to length 1, projected on the directions along
which training captions differ most, and scaled to length 1 again (0 if it holds no known term).
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from wsvad.encoders.encoder import file_argument
from wsvad.errors import WsvadError
from wsvad.files import atomic

Captions = Mapping[str, list[str]]
"""Video → its captions, in time order."""

TERMS: dict[str, Any] = {"ngram_range": (1, 2), "sublinear_tf": True}
COMMON = 5
"""Training captions that a term must occur in to count; fewer where there are only a few thousand."""


class Lsa:
    """The encoder `lsa`. It reads captions, so it is fitted and run by `wsvad.extraction.captions`, not on frames."""

    input = "captions"
    argument = "captions.jsonl"
    resolve = staticmethod(file_argument)
    summary = "captions, one JSON line a video"
    extra = "text"
    runtime = "sklearn"
    name = "lsa"

    @staticmethod
    def captions(argument: str) -> Path:
        """The captions file."""
        return Path(argument)

    def __init__(self, terms: list[str], idf_V: np.ndarray, components_DV: np.ndarray, fitted_to: str):
        """
        Args:
            terms: the V terms, in the order of the columns.
            idf_V: how rare each is among the training captions, `(V,)` float64.
            components_DV: orthonormal directions, `(D, V)` float32.
            fitted_to: the `fingerprint` of what they were learnt from.
        """
        _require_sklearn()
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.terms, self.idf_V, self.components_DV = terms, idf_V, components_DV
        self.fitted_to = fitted_to
        self.width = len(components_DV)
        self._vectoriser = TfidfVectorizer(vocabulary=terms, **TERMS)
        self._vectoriser.idf_ = idf_V

    @classmethod
    def fit(cls, captions: Captions, width: int = 512, seed: int = 0) -> "Lsa":
        """Learn terms and directions from training videos alone. The same captions give the same encoder.

        Args:
            width: D; less where there are fewer terms or fewer captions.
            seed: of the randomised SVD.

        Raises:
            WsvadError: there is no word in the captions, or scikit-learn is missing.
        """
        _require_sklearn()
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        texts = [caption for video in captions.values() for caption in video]
        vectoriser = TfidfVectorizer(min_df=min(COMMON, 1 + len(texts) // 1000), **TERMS)
        try:
            weights = vectoriser.fit_transform(texts)
        except ValueError:
            raise WsvadError(f"no words in the {len(texts)} captions of {len(captions)} training videos") from None
        terms = vectoriser.get_feature_names_out().tolist()
        svd = TruncatedSVD(min(width, *weights.shape), algorithm="randomized", n_iter=7, random_state=seed).fit(weights)
        components = svd.components_
        # A direction and its opposite are equally good: the largest loading is positive.
        largest = np.take_along_axis(components, np.abs(components).argmax(1)[:, None], axis=1)
        components = components * np.where(largest < 0, -1, 1)
        fingerprint = cls.fingerprint(captions, width, seed)
        return cls(terms, np.asarray(vectoriser.idf_, np.float64), components.astype(np.float32), fingerprint)

    @staticmethod
    def fingerprint(captions: Captions, width: int = 512, seed: int = 0) -> str:
        """A hash of what `fit` is given and how it fits: an encoder with the same one need not be fitted again."""
        given = [TERMS, COMMON, width, seed, sorted(captions.items())]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()

    def encode(self, captions: list[str]) -> np.ndarray:
        """T captions → `(T, D)` float32, each of length 1 (or 0)."""
        if not captions:
            return np.zeros((0, self.width), dtype=np.float32)
        projected = np.asarray(self._vectoriser.transform(captions) @ self.components_DV.T)
        length = np.linalg.norm(projected, axis=1, keepdims=True)
        return np.divide(projected, length, out=np.zeros_like(projected), where=length > 0).astype(np.float32)

    def passport(self) -> dict[str, object]:
        settings = {"ngrams": list(TERMS["ngram_range"]), "sublinear_tf": True, "terms": len(self.terms)}
        return {"encoder": self.name, "width": self.width, "weights": self._hash(), "settings": settings}

    def _hash(self) -> str:
        digest = hashlib.sha256(json.dumps(self.terms).encode())
        for array in (self.idf_V, self.components_DV):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, path: Path | str) -> None:
        """Write the encoder as safetensors, whole or not at all; the terms stand in its metadata, in JSON."""
        tensors = {"idf": np.ascontiguousarray(self.idf_V), "components": np.ascontiguousarray(self.components_DV)}
        known = {"terms": self.terms, "fitted_to": self.fitted_to}
        with atomic(path) as temporary:
            temporary.write_bytes(serialise(tensors, metadata={"lsa": json.dumps(known)}))

    @classmethod
    def load(cls, path: Path | str) -> "Lsa":
        """Read what `save` wrote.

        Raises:
            WsvadError: it is missing, or not such a file, or scikit-learn is missing.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                known = json.loads((file.metadata() or {})["lsa"])
                return cls(known["terms"], file.get_tensor("idf"), file.get_tensor("components"), known["fitted_to"])
        except FileNotFoundError:
            raise WsvadError(f"{path}: there is no such fitted lsa encoder") from None
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise WsvadError(f"{path}: not a fitted lsa encoder ({error}); extract the captions again") from None


def _require_sklearn() -> None:
    if find_spec("sklearn") is None:
        raise WsvadError("lsa needs scikit-learn, which is not installed; pip install 'wsvad[text]'")
