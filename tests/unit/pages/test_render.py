"""The environment of all templates: what is not ours is text, and what is missing is a mistake."""

import base64
import hashlib
import re
from importlib.resources import files

import pytest
from hostile import HOSTILE
from jinja2 import StrictUndefined, UndefinedError, nodes
from markupsafe import Markup, escape
from places import ROOT

from wsvad.pages.render import ENVIRONMENT, render_page

TEMPLATES = ENVIRONMENT.list_templates()


def source(name: str) -> str:
    return ENVIRONMENT.loader.get_source(ENVIRONMENT, name)[0]


def test_every_html_file_of_the_package_is_a_template_of_the_environment():
    found = sorted(path.name for path in (ROOT / "src" / "wsvad").rglob("*.html"))
    assert found == TEMPLATES and len(found) > 5


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_escapes(name: str):
    template = ENVIRONMENT.get_template(name)
    assert template.environment is ENVIRONMENT
    assert ENVIRONMENT.autoescape is True
    tree = ENVIRONMENT.parse(source(name))
    assert not list(tree.find_all((nodes.EvalContextModifier, nodes.MarkSafe)))  # {% autoescape false %}
    assert not {one.name for one in tree.find_all(nodes.Filter)} & {"safe", "xmlattr", "tojson"}
    assert not re.search(r"=\s*\{[{%]", source(name))  # an attribute without quotes ends at a space


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_refuses_a_missing_value(name: str):
    assert ENVIRONMENT.undefined is StrictUndefined
    with pytest.raises(UndefinedError):
        ENVIRONMENT.get_template(name).render()


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
@pytest.mark.parametrize(
    "way", ["{{ x }}", "{{ x|e }}", "{{ [x]|join }}", "{{ y ~ x }}", "{% set z %}{{ x }}{% endset %}{{ z }}"]
)
def test_whatever_way_a_name_takes_it_is_text(name: str, shown: str, way: str):
    assert ENVIRONMENT.from_string(way).render(x=name, y=Markup("")) == escape(shown)


def test_what_is_no_name_stays_as_it_is():
    ours = Markup("<b>\n\tüβ語</b>")
    assert ENVIRONMENT.from_string("{{ x }}").render(x=ours) == ours
    assert ENVIRONMENT.from_string("{{ x }}").render(x=1.5) == "1.5"


@pytest.mark.parametrize("name", ["report", "leaderboard"])
def test_only_our_own_script_may_run(name: str):

    script = files("wsvad.pages").joinpath(f"{name}.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = render_empty(name)
    assert f"script-src 'sha256-{digest}'" in page
    assert f"<script>{script}</script>" in page
    assert page.count("<script") == 1


def render_empty(name: str) -> str:
    """A page that shows nothing."""
    head = {
        "model": "", "events": {"number": "", "where": ""}, "against_truth": "", "thresholds": "", "notes": [],
        "left_out": [], "quality": None, "legend": {}, "categories": [],
    }  # fmt: skip
    toolbar = {"videos": 0, "events": 0}
    report = {"head": head, "map": None, "toolbar": toolbar, "days": None}
    leaderboard = {"legend": "", "switches": [], "heads": [], "rows": [], "categories": [], "alerts": None}
    return render_page(name, title="", cards=[], **{"report": report, "leaderboard": leaderboard}[name])
