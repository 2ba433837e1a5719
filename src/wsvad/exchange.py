"""Verbs that bring in what other programs made, and take ours to them. As in `cli`, what a verb needs is imported when
it is called."""

from pathlib import Path
from typing import Any

from wsvad.parser import DEFAULT_METHOD


def import_checkpoint(
    checkpoint: Path, config: Any, method: str = DEFAULT_METHOD, out: Path = Path("runs/imported")
) -> int:
    """Make a run from a public checkpoint of a method, so that it can be evaluated on features.

    Only weights are read: a file that would run code when it is opened is refused.

    Args:
        checkpoint: File of torch.save(model.state_dict()), or .safetensors, under the official code's names.
        method: Method that it is of: ur-dmu, rtfm.
        out: Run folder to write.
    """
    from rich.console import Console

    from wsvad.training.importing import import_checkpoint

    trained = import_checkpoint(checkpoint, method, config, out)
    width = ", ".join(f"{stream} features of width {width}" for stream, width in trained.widths.items())
    Console(stderr=True).print(
        f"run in {out}, which reads {width}: wsvad evaluate {out} --data FOLDER --features FOLDER", highlight=False
    )
    return 0
