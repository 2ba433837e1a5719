"""`hf:NAME_OR_FOLDER[@REVISION]`: any network of `transformers` that reads pictures or clips.

A picture goes through as the model's own processor prepares it (`processor.py`), and what of the model's output is
the feature depends on its type (`models.py`): CLIP's projected embedding, DINO's class token, the mean of VideoMAE's
tokens. A network for clips gives one feature a snippet; if it reads fewer frames than a snippet has, they are evenly
spaced, and if it reads more, each is repeated. `HfSettings` chooses otherwise.
"""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wsvad.encoders.beside import Settings
from wsvad.encoders.encoder import Sampling
from wsvad.encoders.hf.files import find, resolve, weights_hash
from wsvad.encoders.hf.settings import HfSettings, Pooling, Space
from wsvad.errors import UsageError, WsvadError, refuse_shortage
from wsvad.spelling import reason

if TYPE_CHECKING:
    import torch

__all__ = ["Hf", "HfSettings"]

TRIAL = (96, 128)
"""Height and width of the picture that shows how wide the output is."""


class Hf:
    """The encoder `hf:NAME_OR_FOLDER[@REVISION]`."""

    input = "video"
    argument = "NAME_OR_FOLDER"
    summary = "1 to 16 frames a snippet, any image or clip model of transformers"
    extra = "transformers"
    runtime = "transformers"
    resolve = staticmethod(resolve)
    settings_of = HfSettings

    def __init__(self, argument: str, settings: HfSettings | Settings | None = None):
        """Load a model from a folder or from the cache of Hugging Face, never from a hub.

        Raises:
            UsageError: a setting that the model does not allow.
            WsvadError: the model is not there, or is not one that can be run; or transformers is not installed.
        """
        # What needs torch is imported here: encoders are listed without it.
        from wsvad.encoders.hf.models import known, load
        from wsvad.encoders.hf.processor import processing_of
        from wsvad.encoders.hf.reader import Reader
        from wsvad.encoders.torch_network import TorchNetwork

        asked = settings if isinstance(settings, HfSettings) else HfSettings(**settings or {})
        self.name = f"hf:{argument}"
        self._known = known(find(argument))
        folder, kind = self._known.folder, self._known.raw["model_type"]
        self._processing = processing_of(folder, kind, clip=self._known.family.clip)
        self._model = load(self._known)
        self._settle(asked)
        self._reader = Reader(
            self._model,
            self._processing,
            frames=self.sampling.count,
            clip=self._clip,
            tap=asked.tap,
            space=self._space,
        )
        reader = self._reader
        self._network = TorchNetwork(reader, reader.prepare, tap=reader.tapped, take=reader.take)
        trial = self._trial(count=self.sampling.count if self._clip else 1)
        vectors = self._vectors([trial])[0]
        if self._known.family.network is None and not np.array_equal(vectors, self._vectors([trial])[0]):
            raise WsvadError(f"{self.name}: gives other numbers each time that it runs; use another model")
        if self._clip and len(vectors) == 1 and self._pooling == "mean+std":
            raise UsageError(f"{self.name}: gives one vector a snippet, which has no deviation; set 'pooling: mean'")
        self.width = vectors.shape[1] * (2 if self._pooling == "mean+std" else 1)

    def _settle(self, asked: HfSettings) -> None:
        """Settings, and what is usual where they say nothing."""
        family = self._model.family
        self._pooling: Pooling = asked.pooling or family.pooling
        self._space: Space = asked.space or (family.space if asked.tap is None else "mean")
        if asked.clip is not None and self._model.frames is None:
            raise UsageError(f"{self.name}: reads pictures, not clips; leave 'clip' out")
        self._clip = asked.clip or self._model.frames
        frames = asked.frames or (min(family.frames, self._clip) if self._clip else family.frames)
        if self._pooling == "middle" and not self._clip:
            frames = 1
        elif frames == 1 and self._pooling == "mean+std" and asked.pooling is None:
            self._pooling = "mean"
        self.sampling = Sampling(count=frames, fit=self._processing.fit)

    def _trial(self, count: int) -> np.ndarray:
        """Pictures of noise, as they reach the network."""
        noise = np.random.default_rng(0).integers(0, 256, (*TRIAL, 3), dtype=np.uint8)
        fit = self.sampling.fit
        return np.repeat((noise if fit is None else fit(noise))[None], count, axis=0)

    def runs_on(self, device: "torch.device") -> bool:
        """Whether what is installed here runs it there."""
        return self._network.runs_on(device)

    def to(self, device: "torch.device") -> None:
        """Move the network to a device."""
        self._network.to(device)

    def encode(self, snippets: list[np.ndarray]) -> np.ndarray:
        """N snippets, each `(count, h, w, 3)` uint8 → `(N, D)` float32."""
        features = np.zeros((len(snippets), self.width), dtype=np.float32)
        for row, vectors in zip(features, self._vectors(snippets), strict=True):
            row[:] = self._feature(vectors)
        return features

    def _vectors(self, snippets: list[np.ndarray]) -> list[np.ndarray]:
        """Of each snippet a vector for each frame, or for the clip, `(K, W)`."""
        try:
            return self._network(snippets)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            refuse_shortage(error, self.name)
            raise WsvadError(
                f"{self.name}: does not run on pictures {_sizes(snippets)} ({reason(error)}); use another "
                "model, or other settings"
            ) from error

    def _feature(self, vectors: np.ndarray) -> np.ndarray:
        """One snippet's vectors `(K, W)` → `(D,)`."""
        if self._pooling == "middle":
            pooled = [vectors[len(vectors) // 2]]
        else:
            pooled = [vectors.mean(0)] if self._pooling == "mean" else [vectors.mean(0), vectors.std(0)]
        feature = np.concatenate(pooled)
        if feature.shape != (self.width,):
            raise WsvadError(
                f"{self.name}: gives {len(feature)} numbers for pictures of this shape and {self.width} for others; "
                "set 'space: mean'"
            )
        return feature

    def passport(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "frames": self.sampling.count,
            "output": self._reader.says,
            "pooling": self._pooling,
        }
        if not self._reader.flat:
            settings["space"] = self._space
        if self._clip:
            settings["clip"] = self._clip
        return {
            "encoder": f"hf:{self._known.raw['model_type']}-{self._hash[:8]}",
            "width": self.width,
            "weights": self._hash,
            "settings": settings | self._processing.settings(),
        }

    @cached_property
    def _hash(self) -> str:
        return weights_hash(self._known.folder, self._known.raw)


def _sizes(snippets: list[np.ndarray]) -> str:
    return ", ".join(sorted({str(list(one.shape)) for one in snippets}))
