"""What kind of thing an event is: numbers against their formulas, and what the page, JSON and CSV say of them."""

import csv
import dataclasses
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from timelines import event, timeline, write
from torch import nn

from wsvad.detection.detector import WANTED
from wsvad.detection.explanation import Explanation, cosines, explain, shares
from wsvad.detection.timeline import write_events_csv, write_scores_json
from wsvad.methods.mil import Mil, MilConfig
from wsvad.metrics.interval import Interval
from wsvad.pages.category_map import HEIGHT, WIDTH, apart, category_map, placed
from wsvad.pages.palette import COLOURS, paint
from wsvad.pages.render import ENVIRONMENT
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import Scorer

NAMES = ("fall", "fight", "fire")
SCORES = np.array([[0.1, 0.0, 0.0], [0.1, 0.6, 0.1], [0.3, 0.2, 0.2], [0.0, 0.0, 0.4]])


def told(**changes):
    """Two events: snippets 1 to 2, a fight; snippet 3, a fire."""
    event_embeddings = np.array([[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 3.0, 0.0]])
    given = {
        "categories": NAMES,
        "class_scores": SCORES,
        "event_embeddings": event_embeddings,
        "prototypes": np.eye(4)[:3] * 5,
    }
    return timeline(
        scores=(0.1, 0.8, 0.7, 0.4),
        events=(event(16, 48), event(48, 64, 0.4)),
        explanation=Explanation(**given | changes),
    )


# ------------------------------------------------------------------------------------------------------------ numbers


def test_an_event_is_named_after_its_snippets():
    first = told().categories(told().events[0])
    # Sums over snippets 1 and 2: fall .4, fight .8, fire .3.
    assert first == pytest.approx({"fight": 0.8 / 1.5, "fall": 0.4 / 1.5, "fire": 0.3 / 1.5})
    assert list(first) == ["fight", "fall", "fire"]
    assert told().categories(told().events[1]) == {"fire": 1.0, "fall": 0.0, "fight": 0.0}
    np.testing.assert_allclose(shares(np.zeros((2, 4))), 0.25)
    assert timeline().categories(event(16, 32)) == timeline().nearest(event(16, 32)) == {}


def test_the_nearest_prototypes_are_those_of_the_cosine():
    near = told().nearest(told().events[0], 2)
    assert near == pytest.approx({"fight": 2 / np.sqrt(5), "fall": 0})
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 5)), rng.normal(size=(2, 5))
    expected = [[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in b] for x in a]
    np.testing.assert_allclose(cosines(a, b), expected)
    assert (cosines(np.zeros((1, 5)), b) == 0).all()


class Says(nn.Module):
    """Class scores that look at what came before, a shift, embeddings: everything that a method may say."""

    runs_on = ("rgb",)
    config = SimpleNamespace(named=NAMES)
    prototypes = torch.eye(3)

    def forward(self, streams):
        return self.class_scores(streams).sum(-1)

    def class_scores(self, streams):
        return streams["rgb"].cumsum(1).sigmoid() / 3

    def shift(self, streams):
        return streams["rgb"][..., 0].sigmoid()

    def embeddings(self, streams):
        return 2 * streams["rgb"]


def explained(method, streams, events, mode="whole"):
    scorer = Scorer(method, Normalisation(kinds={"rgb": "none"}), window=4)
    return explain(method, scorer.categories, scorer.describe(streams, WANTED[mode], mode), events)


def test_a_method_is_asked_for_all_that_it_says():
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    explanation = explained(Says(), {"rgb": x}, [(0, 2), (5, 9)])
    np.testing.assert_allclose(explanation.class_scores, x.cumsum(0).sigmoid() / 3, rtol=1e-6)
    np.testing.assert_allclose(explanation.shift, x[:, 0].sigmoid(), rtol=1e-6)
    np.testing.assert_allclose(
        explanation.event_embeddings, torch.stack([2 * x[:2].mean(0), 2 * x[5:].mean(0)]), rtol=1e-5
    )
    none = explained(Says(), {"rgb": x}, [])
    assert none.event_embeddings.shape == (0, 3)
    online = explained(Says(), {"rgb": x}, [(0, 2)], "online")
    replay = [x[max(0, end - 4) : end].sum(0).sigmoid() / 3 for end in range(1, 10)]
    np.testing.assert_allclose(online.class_scores, torch.stack(replay), rtol=1e-5)
    assert online.shift is None and online.event_embeddings is None


def test_of_one_category_nothing_is_said():
    x = {"rgb": torch.zeros(5, 3)}
    one = type("One", (Says,), {"config": SimpleNamespace(named=("abnormal",))})
    explanation = explained(one(), x, [(0, 2)])
    assert (
        explanation.categories == ()
        and explanation.class_scores is None
        and explanation.event_embeddings is None
        and len(explanation.shift) == 5
    )
    assert explained(one(), x, [(0, 2)], "online") is None
    still = type("Still", (one,), {"shift": lambda self, streams: streams["rgb"][..., 0] * 0})
    assert explained(still(), x, [(0, 2)]) is None
    assert explained(Mil({"rgb": 3}, MilConfig(hidden=(4, 2))), x, [(0, 2)]) is None


# -------------------------------------------------------------------------------------------------------------- files


def test_files_name_events(tmp_path):
    write_scores_json(tmp_path / "scores.json", [told(), timeline()])
    first, second = json.loads((tmp_path / "scores.json").read_text())["videos"]
    assert [e["category"] for e in first["events"]] == ["fight", "fire"]
    assert list(first["events"][0]["categories"]) == ["fight", "fall", "fire"]
    assert sum(first["events"][0]["categories"].values()) == pytest.approx(1, abs=1e-5)
    assert first["events"][1]["nearest"] == {"fire": 1.0, "fall": 0.0, "fight": 0.0}
    assert not {"category", "categories", "nearest"} & set(second["events"][0])
    write_events_csv(tmp_path / "events.csv", [told(), timeline()])
    with (tmp_path / "events.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["category"], row["probability"]) for row in csv.DictReader(file)]
    assert rows == [("fight", "0.533333"), ("fire", "1.0"), ("", "")]


# --------------------------------------------------------------------------------------------------------------- page


def test_the_page_names_colours_and_explains_each_event(tmp_path):
    lines = dataclasses.replace(
        told(), truth=(Interval(start=0, end=40, category="fall; fight"), Interval(start=60, end=64, category="fall"))
    )
    page = write(tmp_path / "r.html", [lines])
    assert "fight 53%" in page.words and "fire 100% · true category fall" in page.words
    assert "true category" not in page.words.replace("true category fall", "", 1)  # the first is right
    assert "or fall\u00a027%, fire\u00a020%" in page.words and page.words.count("or fall") == 1
    assert "near fight\u00a00.894, fall\u00a00.000, fire\u00a00.000" in page.words
    caps = [path for path in page.all("path") if path.get("class", "").startswith("cap")]
    assert [cap["style"] for cap in caps] == [f"--kind:{COLOURS[1]}", f"--kind:{COLOURS[2]}"]
    legend = page.source[page.source.index('<ul class="legend categories"') :]
    words = re.sub("<[^>]*>", " ", legend[: legend.index("</ul>")])
    assert words.split() == ["fall", "0", "fight", "1", "fire", "1"]


@pytest.mark.parametrize(
    ("truth", "said"),
    [("blast", "true category blast"), ("abnormal", None), ("abnormal; fall", "true category fall"), ("fire", None)],
)
def test_an_event_is_put_right_where_the_truth_is_named(tmp_path, truth, said):
    """Also by a kind that the method has never heard of; "abnormal" is none."""
    lines = dataclasses.replace(told(), truth=(Interval(start=48, end=64, category=truth),))
    page = write(tmp_path / "r.html", [lines])
    assert (f"fire 100% · {said}" in page.words) if said else ("true category" not in page.words)


def test_the_shift_is_a_curve_over_its_own_range(tmp_path):
    page = write(tmp_path / "r.html", [told(shift=np.array([0.4, 0.6, 0.5, 0.4]))])
    assert "shift 0.40 to 0.60" in page.words
    assert 'd="M0 100H250.0V0H500.0V50H750.0V100H1000.0"' in page.source
    flat = write(tmp_path / "r.html", [told(shift=np.array([0.500, 0.505, 0.5, 0.5]))])
    assert 'd="M0 100H250.0V90H500.0V100H750.0V100H1000.0"' in flat.source


def test_a_page_without_kinds_says_nothing_of_them(tmp_path):
    page = write(
        tmp_path / "r.html", [timeline(), timeline("b.mp4", explanation=Explanation(shift=np.array([0.1, 0.2, 0.1])))]
    )
    assert page.words.count("shift 0.10 to 0.20:") == 1
    body = page.source[page.source.index("<body>") : page.source.index("<script>")]
    assert not any(word in body for word in ("--kind", 'class="what"', 'class="near"', 'id="map"', "legend categories"))


def luminance(colour: str) -> float:
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("paper", ["#ffffff", "#fbfaf8", "#131416", "#1b1d20"])
def test_colours_stand_out_from_paper(paper):
    for colour in COLOURS:
        low, high = sorted((luminance(colour), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 3


def test_no_two_of_sixteen_categories_look_alike():
    assert len({paint(number) for number in range(16)}) == 16
    assert [paint(number).fill for number in range(16)] == ["full"] * 8 + ["hollow"] * 8


# ---------------------------------------------------------------------------------------------------------------- map


def two_groups() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(16)[:2], 8, axis=0)
    return apart(centres + 0.1 * rng.normal(size=(16, 16)))


def test_like_lies_beside_like_and_always_in_the_same_place():
    places = placed(two_groups())
    distance = np.linalg.norm(places[:, None] - places, axis=-1) + np.diag(np.full(16, np.inf))
    assert ((distance.argmin(1) < 8) == (np.arange(16) < 8)).all()
    assert (places >= 0).all() and (places <= [WIDTH, HEIGHT]).all()
    np.testing.assert_array_equal(placed(two_groups()), places)


@pytest.mark.parametrize("alike", [4, 5])
def test_points_that_are_all_alike_have_a_place(alike):
    assert np.isfinite(placed(np.ones((alike, 3)) / np.sqrt(3))).all()


def test_what_all_have_in_common_is_taken_away():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(5, 8))
    x = 10 + own
    each = x / np.linalg.norm(x, axis=1, keepdims=True)
    rest = each - each.mean(0)
    np.testing.assert_allclose(apart(x), rest / np.linalg.norm(rest, axis=1, keepdims=True))


def test_the_map_has_a_mark_for_each_and_leads_to_the_videos():
    lines = [dataclasses.replace(told(), video="<a>.mp4"), timeline("quiet.mp4")]
    drawn = ENVIRONMENT.get_template("category_map.html").render(map=category_map(lines, ["v0", "v1"]))
    assert drawn.count("<circle") == 2 and drawn.count("<text") == 3
    assert drawn.count('href="#v0"') == 2 and "<a>.mp4" not in drawn
    assert "fight 53%, &lt;a&gt;.mp4, 0:01.6–0:04.8" in drawn
    alone = dataclasses.replace(
        told(), events=(), explanation=dataclasses.replace(told().explanation, event_embeddings=np.zeros((0, 4)))
    )
    assert category_map([alone], ["v0"]) is None  # three points
    assert category_map([timeline()], ["v0"]) is None


def test_without_scikit_learn_the_page_is_there_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    page = write(tmp_path / "r.html", [told()])
    assert "A map of the categories needs scikit-learn: pip install 'wsvad[text]'." in page.words
    assert "fight 53%" in page.words
