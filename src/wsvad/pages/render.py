"""HTML from the templates beside this file: one environment, in which every value is text unless it is `Markup`."""

import base64
import hashlib
from importlib.resources import files as package_files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wsvad.spelling import ACTING

SPELT_OUT = {code: f"\\u{code:04x}" for code in range(0x10000) if ACTING.match(chr(code)) and chr(code) not in "\t\n\r"}
"""Characters that a browser drops, or that turn the direction of writing (`wsvad.spelling`), as they are shown."""


def spelt_out(value: Any) -> Any:
    """A value with such characters as "\\u202e"; what is `Markup` stays so, what is no text stays as it is."""
    return value.translate(SPELT_OUT) if isinstance(value, str) else value


ENVIRONMENT = Environment(
    loader=PackageLoader("wsvad.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=spelt_out,  # here and not as a filter, so that no template can forget it
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render_page(name: str, **values: Any) -> str:
    """The page of the template `NAME.html`, with `base.css`, `NAME.css` and, where there is one, `NAME.js` inside.

    The page's content security policy allows no script but this one, by its hash.

    Args:
        values: what the template shows; untrusted text is escaped there.
    """
    # Our own files are the only values that go into a page as they are.
    own = package_files("wsvad.pages")
    style = Markup("".join((own / f"{one}.css").read_text("utf-8") for one in ("base", name)))
    script = Markup((own / f"{name}.js").read_text("utf-8") if (own / f"{name}.js").is_file() else "")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = ENVIRONMENT.get_template(f"{name}.html")
    return template.render(style=style, script=script, script_hash=f"sha256-{digest}", **values)
