"""What of a model's output is the feature: a field, a hidden layer or any module's, pooled over tokens or positions."""

import difflib
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from wsvad.encoders.encoder import Sampling
from wsvad.encoders.hf.models import Model
from wsvad.encoders.hf.processor import Processing
from wsvad.encoders.hf.settings import Space
from wsvad.encoders.torch_network import first_tensor, over_space
from wsvad.errors import UsageError, WsvadError
from wsvad.spelling import plain

FIELDS = ("image_embeds", "pooler_output", "last_hidden_state", "feature_maps")
"""Of what a model returns, in the order in which one is taken where nothing else is said."""


class Reader(nn.Module):
    """A model as `TorchNetwork` runs it: how it is called, and which vector is taken of what it gives."""

    tapped: str | None = None
    """The module whose output is taken, if it is one."""
    says: str
    """What is taken, for a passport."""
    flat = False
    """Whether that is a vector already, known once it has run."""

    def __init__(
        self,
        model: Model,
        processing: Processing,
        *,
        frames: int,
        clip: int | None,
        tap: str | int | None,
        space: Space,
    ):
        """
        Args:
            frames: frames of a snippet that are read.
            clip: frames that the model reads at once; None for one that reads pictures.

        Raises:
            UsageError: there is no such tap.
        """
        super().__init__()
        self.model = model.module
        self._family, self._processing, self._patch = model.family, processing, model.patch
        self._frames, self._space = frames, space
        self._places = None if clip is None else Sampling(count=clip).offsets(frames)
        self._options = dict(model.family.options)
        self._grid = (0, 0)
        self._settle(tap)

    def _settle(self, tap: str | int | None) -> None:
        if isinstance(tap, str) and tap.lstrip("-").isdigit():
            tap = int(tap)
        names = sorted(name for name, _ in self.model.named_modules() if name)
        self._chosen: str | int | None = self._family.output if tap is None else tap
        self.says = str(self._chosen or "the first of " + ", ".join(FIELDS))
        if isinstance(tap, int):
            self._options["output_hidden_states"] = True
            self.says = f"hidden layer {tap}"
        elif tap in names:
            self.tapped, self.says = f"model.{tap}", f"module {tap}"
        elif tap is not None and tap not in FIELDS:
            near = difflib.get_close_matches(tap, [*names, *FIELDS], n=5, cutoff=0.4) or [*FIELDS, *names[:3]]
            raise UsageError(
                f"tap '{plain(tap)}': the model has no such module or output; near ones are {', '.join(near)}; a "
                "number is a hidden layer"
            )

    def prepare(self, pictures: Tensor) -> Any:
        """Frames of some snippets, joined, `(M, h, w, 3)` uint8 → what the model is called with."""
        given = self._processing(pictures)
        if "spatial_shapes" in given:
            down, across = given["spatial_shapes"][0].tolist()
            self._grid = (down, across)
        elif self._patch:
            height, width = given["pixel_values"].shape[2:]
            self._grid = (height // self._patch, width // self._patch)
        return given

    def forward(self, given: dict[str, Tensor]) -> Any:
        x = given.pop("pixel_values")
        if self._places is not None:
            x = x.reshape(-1, self._frames, *x.shape[1:])[:, self._places]
        method = self._family.method
        call: Callable[..., Any] = self.model if method == "forward" else getattr(self.model, method)
        return call(**{self._family.input: x}, **given, **self._options)

    def take(self, output: Any) -> Tensor:
        """What a model or a module gives → a vector for each picture or clip, `(N, W)`.

        Raises:
            WsvadError: that has no such part, or it is no vector, row of tokens or map.
        """
        x = first_tensor(output) if self.tapped else self._part(output)
        if not x.is_floating_point() or x.ndim not in (2, 3, 4):
            raise WsvadError(
                f"{self.says} is {list(x.shape)} ({x.dtype}), not a vector, tokens or a map for each picture; set "
                "another 'tap'"
            )
        self.flat = x.ndim == 2
        if self._space == "flatten" or self.flat:
            return x.flatten(1)
        if x.ndim == 4 and self._space == "first":
            raise UsageError(
                f"space: {self.says} is a map {list(x.shape)} and has no first token; set 'mean' or 'flatten'"
            )
        if x.ndim == 3:
            return x[:, 0] if self._space == "first" else over_space(self._places_of(x), channels_first=False)
        return over_space(x, channels_first=self._channels_first(x))

    def _part(self, output: Any) -> Tensor:
        chosen = self._chosen
        if isinstance(chosen, int):
            layers = getattr(output, "hidden_states", None) or ()
            if not -len(layers) <= chosen < len(layers):
                raise UsageError(f"tap {chosen}: the model gives {len(layers)} hidden layers, numbered from 0")
            return layers[chosen]
        names = FIELDS if chosen is None else (chosen,)
        there = {name: part for name in FIELDS if (part := getattr(output, name, None)) is not None}
        for name in names:
            if name in there:
                self._chosen = self.says = name
                part = there[name]
                return part[-1] if isinstance(part, list | tuple) else part
        words = ", ".join(there) or "none of " + ", ".join(FIELDS)
        raise WsvadError(f"the model gives no {' or '.join(names)} (there is {words}); set another 'tap'")

    def _places_of(self, x: Tensor) -> Tensor:
        """Tokens of patches, `(N, P, W)`, without those of the class and registers, which stand first, and those that
        fill up, which stand last."""
        patches = self._grid[0] * self._grid[1]
        if not patches or x.shape[1] <= patches:
            return x
        if self._processing.patches is not None:
            return x[:, :patches]
        return x[:, x.shape[1] - patches :] if self._places is None else x[:, x.shape[1] % patches :]

    def _channels_first(self, x: Tensor) -> bool:
        """Whether a map is `(N, W, h, w)`, not `(N, h, w, W)`."""
        first, second = tuple(x.shape[2:]), tuple(x.shape[1:3])
        if self._grid in (first, second):
            return first == self._grid
        return not (x.shape[1] == x.shape[2] != x.shape[3])
