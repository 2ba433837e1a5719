"""HTML from the templates beside this file: one environment, in which every value is text unless it is `Markup`."""

import base64
import hashlib
import unicodedata
from importlib.resources import files as package_files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

CONTROL = [code for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\t\n\r"]
"""Characters that a browser drops or shows as nothing."""
TURNING = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Marks of the direction of writing: they make "cod.exe" read as "exe.doc"."""
SURROGATES = range(0xD800, 0xE000)
"""Bytes of a file's name that are not text; they cannot be written as UTF-8."""
SPELT_OUT = {code: f"\\u{code:04x}" for code in (*CONTROL, *TURNING, *SURROGATES)}


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
    """The page of the template `NAME.html`, with `NAME.css` and `NAME.js` inside.

    The page's content security policy allows no script but this one, by its hash.

    Args:
        values: what the template shows; untrusted text is escaped there.
    """
    # Our own files are the only values that go into a page as they are.
    style, script = (
        Markup((package_files("wsvad.pages") / f"{name}.{kind}").read_text("utf-8")) for kind in ("css", "js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = ENVIRONMENT.get_template(f"{name}.html")
    return template.render(style=style, script=script, script_hash=f"sha256-{digest}", **values)
