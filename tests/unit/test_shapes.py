"""Files that were edited or damaged are named, with the place in them."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from wsvad.errors import WsvadError
from wsvad.ranges import Count, Share
from wsvad.shapes import checked, problems


@dataclass
class Rules:
    low: float
    high: float = 1.0


class Record(TypedDict):
    label: int
    kinds: NotRequired[dict[str, Literal["none", "l2"]]]


@dataclass
class Shared(Rules):
    share: Share = 0.5


@pytest.mark.parametrize(
    ("value", "shape", "says"),
    [
        (True, int, "it is True instead of a whole number"),
        (1.5, int, "it is 1.5 instead of a whole number"),
        (float("nan"), float, "it is nan instead of a number"),
        (10**400, float, "instead of a number"),
        (None, str, "it is None instead of text"),
        ([1, "x"], list[int], "1 is 'x' instead of a whole number"),
        ({"a": {"b": "c"}}, dict[str, dict[str, float]], "a.b is 'c' instead of a number"),
        ({"label": 1, "kinds": {"rgb": "l1"}}, Record, "kinds.rgb is 'l1' instead of none or l2"),
        ({"label": 1, "kinds": {"rgb": []}}, Record, "kinds.rgb is [] instead of none or l2"),
        (True, Literal[1, 5], "it is True instead of 1 or 5"),
        (5.0, Literal[1, 5], "it is 5.0 instead of 1 or 5"),
        ({}, Record, "'label' is missing"),
        ([], Record, "it is [] instead of a mapping"),
        ({"low": 1, "mid": 2}, Rules, "'mid' is not known"),
        ({"high": 1}, Rules, "'low' is missing"),
        ("x", int | None, "it is 'x' instead of a whole number"),
        ([1], tuple[int, int], "it is [1] instead of a list of 2"),
        ([1, "x"], tuple[int, int], "1 is 'x' instead of a whole number"),
        ([1, None], tuple[float, ...], "1 is None instead of a number"),
        (1, tuple[int, ...], "it is 1 instead of a list"),
        (0, Count, "it is 0 instead of at least 1"),
        (True, Count, "it is True instead of a whole number"),
        (0, Count | None, "it is 0 instead of at least 1"),
        ({"low": 1, "share": 1}, Shared, "share is 1 instead of from 0 to below 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value, shape, says):
    with pytest.raises(WsvadError) as error:
        checked("run/x.json", value, shape, "train again")
    assert str(error.value).startswith("run/x.json: damaged (") and says in str(error.value)
    assert str(error.value).endswith("); train again")


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, float),
        (None, int | None),
        ({"label": 0, "more": []}, Record),
        ({"low": 1}, Rules),
        ([{}], list[Any]),
        ([1, 2], tuple[int, int]),
        ([], tuple[int, ...]),
        (None, Count | None),
        (1, Count),
    ],
)
def test_what_is_right_passes(value, shape):
    assert list(problems(value, shape)) == []
