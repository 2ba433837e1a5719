"""Text from strangers, as it may be shown: what would act on a terminal or a page is spelt out."""

import difflib
import re
from collections.abc import Iterable

ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, and those of eight bits that begin sequences as ESC does
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # marks of the direction and the form of writing
    "\u2028\u2029"  # ends of lines
    "\ud800-\udfff]"  # bytes of a file's name that are not text
)
LONGEST = 2000
"""Letters of the longest line of a message."""


def plain(words: object) -> str:
    """Text that is safe to print on a line of its own."""
    return ACTING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(words))


def message(words: object) -> str:
    """The same, of a length that can be read. A message begins with the file and ends with the remedy, so that what is
    left out stands between them."""
    text = plain(words)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST * 6 // 10]} … {text[-LONGEST * 4 // 10 + 3 :]}"


def short(value: object, most: int = 80) -> str:
    """A value of a file on one line, of a length that leaves room for the rest of a message."""
    text = plain(value)
    return text if len(text) <= most else f"{text[: most - 21]}…{text[-20:]}"


def reason(error: BaseException, most: int = 200) -> str:
    """What a library's error says, on one line; its class where it says nothing."""
    return short(" ".join(str(error).split()) or type(error).__name__, most)


def unknown(name: object, fields: Iterable[str], what: str) -> str:
    """That there is no such setting, the nearest one, and all that there are.

    Args:
        what: whose settings they are.
    """
    names = list(fields)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"'{short(name)}' is not known; {meant}the settings of {what} are: {', '.join(names)}"
