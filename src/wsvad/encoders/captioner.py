"""A vision-language model of `transformers` that says what some pictures show, in one line.

Two kinds are known by what stands in their folder: a model with a chat template is asked a question about any number of
pictures (LLaVA, Idefics3, Gemma 3, and with torchvision SmolVLM and Qwen2-VL); one without reads one picture and begins
its caption with the prompt (BLIP). Decoding is greedy, so that the same pictures give the same words.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from wsvad.encoders.hf.files import find, library
from wsvad.encoders.transformer_folder import model_hash, open_model, open_part
from wsvad.errors import UsageError, WsvadError, panics, refuse_shortage
from wsvad.spelling import ACTING, reason, short

QUESTION = "Describe in one short sentence what the people and vehicles in these pictures of a surveillance camera do."
"""What a model with a chat template is asked, where no prompt is given."""
LONGEST = 2000
"""Letters of a caption, at most."""
MOST_SIDE = 4096
"""Pixels of a side of a picture that a model reads."""
BESIDE = (
    "generation_config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "chat_template.jinja", "chat_template.json", "vocab.json", "merges.txt", "vocab.txt",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
"""Files of a folder that change what a model says, beside its weights and configuration."""


class Captioner:
    """A model in a folder, and how it is asked."""

    def __init__(self, model: str, *, prompt: str | None = None, frames: int = 1, tokens: int = 40):
        """
        Args:
            model: its folder, or its name in the cache of Hugging Face's libraries.
            prompt: the question, or how captions begin; None for `QUESTION`, or no beginning.
            frames: pictures that it is asked about at once.
            tokens: that a caption has, at most.

        Raises:
            UsageError: the model reads one picture alone.
            WsvadError: the folder holds no such model, or the library is not installed.
        """
        self.folder = folder = find(model)
        self.name, self.frames, self._tokens = Path(model).name, frames, tokens
        self._model = open_model(folder, "AutoModelForImageTextToText")
        try:
            self._processor = open_part(folder, "AutoProcessor", backend="pil", trust_remote_code=False)
        except WsvadError as error:
            if find_spec("torchvision") is None and re.search("video processor|torchvision", str(error), re.IGNORECASE):
                raise WsvadError(
                    f"{folder}: its processor reads videos as well, for which transformers needs torchvision; "
                    "pip install torchvision, or use another model"
                ) from None
            raise
        if made := _too_large(self._processor):
            raise WsvadError(f"{folder}: its processor makes {made}; use the model's own files")
        self._asked = bool(getattr(self._processor, "chat_template", None))
        if frames > 1 and not self._asked:
            raise UsageError(f"{folder}: this model reads one picture at a time; leave --frames out, or set it to 1")
        self.prompt = prompt if prompt is not None else QUESTION if self._asked else ""

    def to(self, device: str) -> None:
        """Move the model to a device."""
        self._model.to(device)

    def passport(self) -> dict[str, str | int]:
        """All that decides what it says of the same pictures."""
        weights = model_hash(self.folder, *BESIDE)
        asked: dict[str, str | int] = {"prompt": self.prompt, "frames": self.frames, "tokens": self._tokens}
        return {"model": self.name, "weights": weights} | asked

    def describe(self, pictures: list[np.ndarray]) -> str:
        """What some pictures show, `(h, w, 3)` uint8 RGB each; empty where the model says nothing.

        Raises:
            WsvadError: it does not run on pictures.
        """
        import torch

        try:
            with library(self.folder), panics(), torch.inference_mode():
                given = self._inputs(pictures).to(self._model.device)
                found = self._model.generate(
                    **given,
                    do_sample=False, num_beams=1, max_new_tokens=self._tokens, return_dict_in_generate=False,
                )  # fmt: skip
        except Exception as error:  # of a folder whose parts do not fit each other
            refuse_shortage(error, self.folder)
            what = f"{type(error).__name__}: {reason(error)}"
            raise WsvadError(f"{self.folder}: does not run on pictures ({what}); use another model") from None
        read = given.get("input_ids")
        if read is not None and torch.equal(found[:, : read.shape[1]], read):  # the question before the answer
            found = found[:, read.shape[1] :]
        return one_line(self._processor.batch_decode(found, skip_special_tokens=True)[0])

    def _inputs(self, pictures: list[np.ndarray]) -> Any:
        from PIL import Image

        images = [Image.fromarray(picture) for picture in pictures]
        if not self._asked:
            return self._processor(images=images[0], text=self.prompt or None, return_tensors="pt")
        content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": self.prompt}]
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip


def _too_large(processor: Any) -> str:
    """What a processor makes of a picture that no memory holds; empty where it is as usual."""
    pictures = getattr(processor, "image_processor", processor)
    # Some say how many pixels a picture has at least and at most, instead of its sides.
    counted = hasattr(type(pictures), "merge_size")
    for name in ("size", "crop_size", "max_image_size"):
        size = getattr(pictures, name, None) or {}
        for side, value in {"side": size}.items() if isinstance(size, int) else dict(size).items():
            if isinstance(value, int | float) and value > (MOST_SIDE**2 if counted else MOST_SIDE):
                return f"pictures of {short(value)} pixels ({name}, {side})"
    tokens = getattr(processor, "num_additional_image_tokens", None) or 0
    return f"{short(tokens)} words of a picture (num_additional_image_tokens)" if tokens > MOST_SIDE else ""


def one_line(text: str) -> str:
    """What a model has written, as it may stand in a file and be shown: on one line, without control characters."""
    return " ".join(ACTING.sub(" ", text).split())[:LONGEST].strip()
