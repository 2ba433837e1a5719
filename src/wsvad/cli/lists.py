"""Verbs that list what there is, and the simulated camera. What a verb needs is imported when it is called."""

from importlib import import_module
from textwrap import indent

from wsvad.cli.common import DONE
from wsvad.cli.options import Folder
from wsvad.cli.output import say, show, show_text, table
from wsvad.cli.practitioner import Videos
from wsvad.ranges import Count, Seed


def methods() -> int:
    """List the methods: what each learns from, and what it needs to run."""
    from wsvad.methods import METHODS

    rows = []
    for name, method in METHODS.working():
        about = (import_module(method.__module__).__doc__ or "").strip().partition("\n")[0]
        rows.append((name, ", ".join(method.learns_from), ", ".join(method.runs_on), about))
    show(table(("method", "learns from", "runs on", "what it is"), rows))
    return DONE


def datasets() -> int:
    """List the published datasets that are read in their official files: splits, headline metric, what is needed."""
    from wsvad.datasets.benchmark import DATASETS

    for name, one in DATASETS.working():
        (train, test), about = (one.split["train"], one.split["test"]), import_module(one.read.__module__).__doc__ or ""
        sizes = f"train {train[0]:,} abnormal + {train[1]:,} normal, test {test[0]:,} + {test[1]:,}"
        show_text(f"{name}: {sizes}, headline {one.headline}\n\n{indent(about.strip(), '    ')}\n\n ")
    return DONE


def encoders() -> int:
    """List the encoders: the input of each, and whether it runs on this machine."""
    from wsvad.encoders import auto, list_encoders

    rows = [
        (one.name, one.input, one.width or "its file's", "yes" if one.available else one.install)
        for one in list_encoders()
    ]
    show(table(("encoder", "makes features from", "width", "runs here"), rows))
    say(auto()[1])
    return DONE


def toy(out: Folder, videos: Videos = 48, seed: Seed = 0, workers: Count | None = None) -> int:
    """Record videos with a simulated camera, with exact truth and exact pose, depth, mask, flow and text streams.

    Args:
        out: Folder to write.
        videos: How many, half of them abnormal.
        seed: Decides scenes and stories; the same seed gives the same bytes.
        workers: Processes (default: one per core).
    """
    from wsvad.datasets.toy import make_toy

    make_toy(out, videos=videos, seed=seed, workers=workers)
    return DONE
