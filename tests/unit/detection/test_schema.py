"""The published schema of scores.json: it takes all that is written, and nothing that lacks a part or has another."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from importlib.resources import files
from typing import Any

import jsonschema
import numpy as np
import pytest
from timelines import event, timeline

from wsvad.detection.explanation import Explanation
from wsvad.detection.timeline import Timeline, as_json
from wsvad.metrics.events import Rarity
from wsvad.video.wall_clock import Start

SCHEMA = json.loads(files("wsvad.detection").joinpath("scores.schema.json").read_text("utf-8"))


def plain() -> Timeline:
    return timeline(events=(), rate=None, threshold=1.5)


def full() -> Timeline:
    """With everything that a method may say and that may be known."""
    why = Explanation(
        categories=("fight", "fall"),
        class_scores=np.array([[0.9, 0.1], [0.6, 0.2], [0.1, 0.1]]),
        shift=np.array([0.1, 0.2, 0.3]),
        event_embeddings=np.array([[1.0, 1e-9]]),
        prototypes=np.array([[1.0, 0.0], [-1.0, 0.0]]),
    )
    start = Start(moment=datetime(1981, 1, 2, tzinfo=UTC), origin="name", camera="gate")
    rarity = Rarity(words="never in 2 h of normal video", events=0, hours=2.0, per_hour=(0.0, 0.0, 1.7))
    found = replace(event(16, 32), rarity=rarity)
    line = timeline("a\udcff.mp4", events=(found,), recorded=start, explanation=why, rate=Fraction(30000, 1001))
    return replace(
        line,
        attributions={"pose": np.array([1.0, 0.5, 0]), "flow": np.array([0, 0.5, 1.0])},
        block=2048,
        notes=("slow",),
        distance=1.5,
    )


def written(*lines: Timeline, left_out: dict[str, str] | None = None) -> Any:
    return json.loads(json.dumps(as_json(lines, left_out)))


@pytest.mark.parametrize("lines", [[], [plain()], [full()], [full(), plain(), timeline(mode="online")]])
def test_all_that_is_written_fits(lines):
    jsonschema.validate(written(*lines, left_out={"x\udcff.mp4": "empty"}), SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_it_describes_every_key_that_there_is():
    """What is written of the fullest timeline is all that the schema knows."""
    found, video = written(full(), left_out={"a": "b"}), SCHEMA["$defs"]["video"]["properties"]
    assert found.keys() == SCHEMA["properties"].keys()
    assert found["videos"][0].keys() == video.keys()
    assert found["videos"][0]["events"][0].keys() == SCHEMA["$defs"]["event"]["properties"].keys()
    assert found["videos"][0]["snippets"][0].keys() == SCHEMA["$defs"]["snippet"]["properties"].keys()


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Where there is a value, from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def test_nothing_else_fits():
    whole = written(full(), left_out={"a": "b"})
    for path in places(whole)[1:]:
        for change in ("lost", "another kind"):
            broken = deepcopy(whole)
            at = broken
            for key in path[:-1]:
                at = at[key]
            if change == "another kind":
                at[path[-1]] = True
            elif isinstance(path[-1], str) and path[-1] in (
                "videos",
                "left_out",
                "snippets",
                "score",
                "video",
                "reason",
            ):
                del at[path[-1]]
            else:
                continue
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(broken, SCHEMA)
