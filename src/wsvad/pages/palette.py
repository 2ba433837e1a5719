"""Colours of categories on the report page. A name always stands beside a colour."""

from typing import NamedTuple

COLOURS = ("#005aff", "#f5541a", "#459c61", "#b42db4", "#008ff5", "#a54b69", "#7290ae", "#d20f00")
"""Each stands out from white and from black paper (3:1), and from the others for colour-blind eyes too."""


class Paint(NamedTuple):
    """How a mark is drawn."""

    fill: str
    """Class of the element."""
    colour: str
    """Value of its style's `--kind`."""


def paint(number: int) -> Paint:
    """The paint of the category with that number: full, and hollow when the colours come again."""
    again = "hollow" if number // len(COLOURS) % 2 else "full"
    return Paint(again, COLOURS[number % len(COLOURS)])
