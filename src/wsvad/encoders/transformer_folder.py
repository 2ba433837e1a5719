"""A folder of `transformers` whose model reads words or sound, or says what it sees: the model as one of the library's
automatic classes makes it, and what stands beside it."""

import hashlib
from pathlib import Path
from typing import Any

from wsvad.encoders.hf.files import CONFIG, INDEX, PICKLED, WHOLE, library, read_config, weights_hash
from wsvad.errors import WsvadError, panics, shortage
from wsvad.files import sha256
from wsvad.spelling import reason, short

GENERATION = "generation_config.json"
"""How a model writes text."""


def is_transformer(folder: Path) -> bool:
    """Whether a folder is one of `transformers`: a configuration with weights, of whatever kind."""
    weights = any((folder / name).is_file() for name in (WHOLE, INDEX))
    return (folder / CONFIG).is_file() and (weights or any(any(folder.glob(pattern)) for pattern in PICKLED))


def open_model(folder: Path, kind: str) -> Any:
    """The model in a folder as the automatic class `kind` makes it, in single precision, ready to run on the CPU.

    Raises:
        WsvadError: the folder is no model, or not of that kind; its weights are pickled, damaged or another model's; or
            the library is not installed.
    """
    raw = read_config(folder)
    with library(folder):
        import transformers

        from wsvad.encoders.hf.models import configuration, loaded

        config = configuration(folder, raw)
        network = getattr(transformers, kind)._model_mapping.get(type(config), None)
        network = network[0] if isinstance(network, list | tuple) else network
        if network is None:
            raise WsvadError(
                f"{folder}: a model of type '{short(raw['model_type'])}' is none that {kind} of transformers makes; "
                "use another model"
            )
        model, _ = loaded(folder, network, config)
        if (folder / GENERATION).is_file() and hasattr(model, "generation_config"):
            model.generation_config = open_part(folder, "GenerationConfig")
    return model.eval().requires_grad_(False)


def open_part(folder: Path, kind: str, **options: object) -> Any:
    """What stands beside a model and prepares its input or output, by the class `kind` of the library.

    Raises:
        WsvadError: it is missing or damaged, or a library that it needs is not installed.
    """
    with library(folder):
        import transformers

        try:
            with panics():
                return getattr(transformers, kind).from_pretrained(str(folder), local_files_only=True, **options)
        except Exception as error:  # whatever the library makes of a damaged or foreign folder
            words = reason(error)
            what = f"transformers refuses what stands beside the model ({words}); use the model's own files"
            if isinstance(error, ImportError):
                what = f"it needs a library that is not installed ({words}); install that, or use another model"
            raise WsvadError(f"{folder}: {shortage(error) or what}") from None


def model_hash(folder: Path, *beside: str) -> str:
    """SHA-256 of a model's weights and configuration, and of those files beside them that are there."""
    there = [f"{name} {sha256(folder / name)}" for name in beside if (folder / name).is_file()]
    return hashlib.sha256("\n".join([weights_hash(folder, read_config(folder)), *there]).encode()).hexdigest()
