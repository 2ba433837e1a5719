"""The page of an audit: the training videos whose label is the most suspicious, each with a picture."""

import base64
from pathlib import Path
from typing import Any

from wsvad.detection.timeline import clock
from wsvad.doctor.audit import Audit, Audited
from wsvad.doctor.labels import MEANING
from wsvad.files import write_text
from wsvad.pages.preview import make_preview
from wsvad.pages.render import render_page
from wsvad.pages.report import link_to


def write_audit(path: Path, found: Audit) -> None:
    """Write the page, whole or not at all. A video that cannot be read (any more) has no picture.

    Args:
        path: the file to write, `.html`. Links to the videos are relative to it.
    """
    page = render_page(
        "audit",
        title=f"{found.data}: training labels",
        sentences=found.sentences,
        cards=[_card(one, path) for one in found.shown],
        meaning=MEANING,
    )
    write_text(path, page)


def _card(one: Audited, page: Path) -> dict[str, Any]:
    return {
        "video": one.video,
        "kind": "contradicted" if one.contradicted else "doubtful",
        "words": one.words,
        "wrong": f"{one.wrong:.0%}",
        "moment": "" if one.moment is None else clock(one.moment),
        "still": _still(one),
        "link": link_to(one.path, page),
    }


def _still(one: Audited) -> str:
    """The picture of the moment as an address; nothing where there is none."""
    if one.path is None or one.moment is None:
        return ""
    image = make_preview(one.path, [one.moment], copy_bytes=0, span=one.span, rate=one.rate).stills.get(one.moment)
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" if image else ""
