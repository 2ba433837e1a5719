"""Colours of categories on the report page. A name always stands beside a colour."""

COLOURS = ("#005aff", "#f5541a", "#459c61", "#b42db4", "#008ff5", "#a54b69", "#7290ae", "#d20f00")
"""Each stands out from white and from black paper (3:1), and from the others for colour-blind eyes too."""


def paint(number: int, kind: str = "") -> str:
    """Attributes that give an element the colour of the category with that number: full, and hollow when the colours
    come again. `kind` is its own class."""
    again = "hollow" if number // len(COLOURS) % 2 else "full"
    return f'class="{f"{kind} {again}".strip()}" style="--kind:{COLOURS[number % len(COLOURS)]}"'
