"""Open a model of `transformers` in a local folder: nothing is downloaded, unpickled, or run that comes with it."""

import os
from pathlib import Path
from typing import Any

from wsvad.errors import WsvadError, shortage
from wsvad.files import sha256
from wsvad.spelling import short


def is_transformer(folder: Path) -> bool:
    """Whether a folder is one of `transformers`: a configuration with weights, of whatever kind."""
    return (folder / "config.json").is_file() and any(_weights(folder, kind) for kind in ("safetensors", "bin"))


def _weights(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


def transformers_module(folder: Path) -> Any:
    """The library, which asks no hub.

    Raises:
        WsvadError: it is not installed.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import transformers
    except ImportError:
        raise WsvadError(
            f"{folder}: running it needs transformers, which is not installed; pip install 'wsvad[transformers]'"
        ) from None
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    return transformers


def open_model(folder: Path, kind: str) -> Any:
    """The model in a folder as the automatic class `kind` makes it, in single precision, ready to run on the CPU.

    Raises:
        WsvadError: the folder is no model, its weights are pickled, damaged or another model's, or the library is not
            installed.
    """
    if not folder.is_dir():
        raise WsvadError(f"{folder}: there is no such folder; nothing is downloaded, so put the model there")
    if not (folder / "config.json").is_file():
        raise WsvadError(f"{folder}: no config.json in it, so it is no model of transformers; name the model's folder")
    if not _weights(folder, "safetensors"):
        pickled = "; only pickled weights, which are not loaded" if _weights(folder, "bin") else ""
        raise WsvadError(f"{folder}: no .safetensors weights in it{pickled}; get the model in safetensors format")
    import torch

    try:
        model, loaded = getattr(transformers_module(folder), kind).from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            dtype=torch.float32,
        )
    except WsvadError:
        raise
    except Exception as error:  # whatever the library makes of a damaged or foreign folder
        raise broken(folder, error) from None
    # A pooling layer that a task has no use for is often not stored; nothing here reads it.
    missing = sorted(key for key in loaded["missing_keys"] if "pooler" not in key)
    if foreign := missing or sorted(key for key, *_ in loaded["mismatched_keys"]):
        raise WsvadError(
            f"{folder}: its weights are another model's: '{short(foreign[0])}' is missing or has another shape"
        )
    return model.eval().requires_grad_(False)


def broken(folder: Path, error: Exception) -> WsvadError:
    """The error of a folder that the library cannot make a model of."""
    words = short(" ".join(str(error).split()), 200)
    what = f"not a model that transformers can load ({words}); use another copy of it"
    if isinstance(error, ImportError):
        what = f"it needs a library that is not installed ({words}); install that, or use another model"
    return WsvadError(f"{folder}: {shortage(error) or what}")


def model_hash(folder: Path, *beside: str) -> str:
    """SHA-256 of a model's weights and configuration, and of those files beside them that are there."""
    others = [folder / name for name in ("config.json", *beside)]
    return sha256(*_weights(folder, "safetensors"), *(path for path in others if path.is_file()))
