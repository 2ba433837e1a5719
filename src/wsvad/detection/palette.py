"""Colours of categories on the report page. A name always stands beside a colour."""

COLOURS = ("#005aff", "#ff5a1e", "#4ba569", "#b42db4", "#0096ff", "#a54b69", "#7896b4", "#d20f00")
"""Each stands out from white and from black paper (3:1), and from the others for colour-blind eyes too."""


def paint(number: int, kind: str = "") -> str:
    """Attributes that give an element the colour of the category with that number: full, and hollow when the colours
    come again. `kind` is its own class."""
    again = "hollow" if number // len(COLOURS) % 2 else "full"
    return f'class="{f"{kind} {again}".strip()}" style="--kind:{COLOURS[number % len(COLOURS)]}"'
