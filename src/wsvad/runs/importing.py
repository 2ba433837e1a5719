"""Public checkpoints as runs: a file of weights under their official names becomes a folder like that of any run."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from wsvad.errors import UsageError, WsvadError
from wsvad.files import sha256
from wsvad.locks import writing
from wsvad.methods import METHODS
from wsvad.methods.abilities import FromOfficial
from wsvad.runs.folder import RunFolder
from wsvad.runs.model import TrainedMethod
from wsvad.runs.normalisation import Normalisation
from wsvad.version import __version__
from wsvad.weights import check_finite, read_weights


def import_checkpoint(path: Path | str, name: str, config: Any, out: Path) -> TrainedMethod:
    """Make a run folder from a public checkpoint. Features are normalised as the method's paper does.

    Args:
        path: the checkpoint.
        name: its method's, which has to have a public checkpoint format (`from_official`).
        config: the method's configuration that it was trained with.
        out: the run folder.

    Raises:
        UsageError: the method has no public checkpoint format.
        WsvadError: as `read_weights`; the weights are not the method's, or not numbers; `out` holds another run.
    """
    kind = METHODS[name]
    if not issubclass(kind, FromOfficial):
        able = ", ".join(other for other in METHODS if issubclass(METHODS[other], FromOfficial))
        raise UsageError(f"{name} has no public checkpoint format that is known here; these have: {able}")
    weights = read_weights(path)
    try:
        method = kind.from_official(weights, config)
    except WsvadError as error:
        raise WsvadError(f"{path}: {error}") from None
    check_finite(path, weights)
    trained = TrainedMethod(
        name=name,
        method=method.eval(),
        widths=method.widths,
        normalisation=Normalisation(kinds=dict.fromkeys(method.widths, kind.normalisation)),
    )
    folder = RunFolder(out)
    settings = {
        "wsvad": __version__,
        "imported": {"file": Path(path).name, "sha256": sha256(path)},
        "source": {},
        "features": "",
        "method": name,
        "config": json.loads(json.dumps(dataclasses.asdict(method.config))),
    }
    with writing(out):
        before = folder.read_settings()
        if (before or folder.finished) and before != settings:
            raise WsvadError(f"{out}: holds another run; give another --out, or delete the folder")
        folder.write_made(settings)
        folder.finish(trained)
    return trained
