"""Verbs that list what there is, and the simulated camera. What a verb needs is imported when it is called."""

import sys
from importlib import import_module
from pathlib import Path
from textwrap import indent
from typing import Annotated

from wsvad.cli.common import DONE, tell
from wsvad.cli.options import File, Folder, refuse
from wsvad.cli.output import say, show, show_json, show_text, table
from wsvad.cli.practitioner import Videos
from wsvad.errors import UsageError
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


def encoders(
    get: Annotated[str, "MODEL"] | None = None,
    yes: bool = False,
    recipes: Annotated[str, "NAME"] | None = None,
    time: Annotated[str, "ENCODER"] | None = None,
    video: File | None = None,
    json: bool = False,
) -> int:
    """List the encoders: the input of each, and whether it runs on this machine.

    Args:
        get: A model for 'hf:', as ORG/NAME or ORG/NAME@REVISION: show its files, size, licence and hash, ask, and
            download it into the cache of Hugging Face. Only safetensors and settings; the only download there is.
        yes: Download without asking.
        recipes: List the recipes: papers' encoders with their weights and settings, for 'recipe:NAME'. With a NAME or
            a FILE.yaml: check that recipe and print it, to copy and change.
        time: Measure how fast this encoder is here, by each runtime and device that can run it, and say which to take.
        video: With --time, the video to measure on (default: a generated one).
        json: With --time, print it as JSON.
    """
    if time is not None:
        refuse("--time", {"--get": get, "--yes": yes, "--recipes": recipes})
        return _time(time, video, json)
    refuse("a list of encoders", {"--video": video, "--json": json})
    if recipes is not None:
        refuse("--recipes", {"--get": get, "--yes": yes})
        return _recipe(recipes) if recipes else _recipes()
    if get is not None:
        return _get(get, ask=not yes)
    if yes:
        raise UsageError("--yes goes with --get")
    from wsvad.encoders import auto, list_encoders

    rows = [
        (one.name, one.input, one.width or "its file's", "yes" if one.available else one.install)
        for one in list_encoders()
    ]
    show(table(("encoder", "makes features from", "width", "runs here"), rows))
    say(auto()[1])
    return DONE


def _time(spec: str, video: Path | None, json: bool) -> int:
    """Measure an encoder."""
    from wsvad.extraction.timing import time_encoder

    found = time_encoder(spec, video)
    if json:
        show_json(found.as_dict())
        return DONE
    parts = ("decode", "convert", "network", "whole")
    rows = [
        (one.runtime, one.device, *("–" if (n := getattr(one, part)) is None else f"{n:,.0f}" for part in parts))
        for one in found.rows
    ]
    show(table(("runtime", "device", *(f"{part}, frames/s" for part in parts)), rows, numbers=4))
    tell(f"{one.runtime}: {one.reason}" for one in found.rows if one.reason)
    show("; ".join(filter(None, (f"one process, on {found.video}", found.advice))))
    return DONE


def _recipes() -> int:
    """List our own recipes."""
    from wsvad.encoders import models_folder
    from wsvad.encoders.build import recipes

    rows = [
        (one.name, one.head.stream, one.head.model, one.head.width or "", one.head.licence, one.state)
        for one in recipes()
    ]
    show(table(("recipe", "stream", "model", "width", "licence", "weights"), rows))
    say(f"Weights are looked for in {models_folder()} (WSVAD_MODELS names another) and the cache of Hugging Face.")
    return DONE


def _recipe(name: str) -> int:
    """Print a recipe."""
    from wsvad.encoders.build import recipe_of

    found = recipe_of(f"recipe:{name}")
    assert found is not None
    show_text(found.path.read_text(encoding="utf-8"))
    say(f"Weights: {found.state}")
    return DONE


def _get(model: str, *, ask: bool) -> int:
    """Download a model."""
    from wsvad.encoders.hf.get import fetch, in_units, offer

    found = offer(model)
    rows = [(piece.name, in_units(piece.size), piece.sha256 or "-") for piece in found.pieces]
    show(table(("file", "size", "SHA-256"), rows))
    show(f"{found.name}, commit {found.commit[:12]}, licence: {found.licence}; {in_units(found.size)} in all")
    if found.there:
        say(f"All of it is in {found.folder} already.")
    elif ask and not _agreed(f"Download it into {found.folder}? [y/N] "):
        say("Nothing was downloaded.")
        return DONE
    fetch(found)
    say(f"Use it as hf:{model}")
    return DONE


def _agreed(question: str) -> bool:
    """Whether somebody at the terminal says yes.

    Raises:
        UsageError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise UsageError("--get asks before it downloads, and there is no terminal to ask at; add --yes")
    say(question)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


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
