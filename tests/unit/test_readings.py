"""The table of readings is that of the configurations, and the published ones are the paper's."""

import runpy
from pathlib import Path

import pytest

from wsvad.methods import METHODS
from wsvad.methods.method import default_config

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_readings_is_that_of_the_configurations():
    made = runpy.run_path(str(DOCS / "readings.py"))["page"]()
    assert (DOCS / "readings.md").read_text(encoding="utf-8") == made, "make it anew: python docs/readings.py"


PUBLISHED = {
    "dakd": {"test": ("segments", "native")},
    "mil": {"top": (1, 6)},
    "pi-vad": {"infonce_exclude_positive": (True, False), "clip": (None, 3.0)},
    "refinevad": {"attention": ("pooled", "segment")},
}


@pytest.mark.parametrize("name", list(METHODS))
def test_budgets_differ_in_these_readings_alone(name):
    config_class = METHODS[name].config_class
    paper, data = (vars(default_config(config_class, budget)) for budget in ("paper", "data"))
    assert {key: (paper[key], data[key]) for key in paper if paper[key] != data[key]} == PUBLISHED.get(name, {})
    assert paper == vars(config_class())


def test_the_published_cross_attention_adds_the_truth_in_training():
    assert default_config(METHODS["refinevad"].config_class, "paper").add_truth
