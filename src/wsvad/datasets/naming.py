"""Which file the name in a row of a table means, as people write names: `D:\\rec\\gate\\cam0.MP4`, `cam0`."""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from wsvad.video.kinds import VIDEO_SUFFIXES
from wsvad.video.names import normal

MANY = 2000
"""Names among which the nearest is looked for."""


class Naming:
    """Names of the videos that there are, below a folder."""

    def __init__(self, names: Iterable[str], home: Path):
        self.names = set(names)
        self.home = normal(home.resolve().as_posix()).split("/")
        self.loose: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.names):
            for key in {name.casefold(), bare(name).casefold()}:
                self.loose[key].append(name)

    def meant(self, name: str) -> list[str]:
        """The videos that a name (`normal`) may mean: one at best, none, or several. A name that is there is itself;
        another one may lack its ending, differ in capitals, or begin with folders above."""
        if name in self.names:
            return [name]
        for tail in (name, *self._below(name)):
            if tail in self.names:
                return [tail]
            if found := self.loose.get(tail.casefold()):
                return found
        return []

    def nearest(self, text: str, among: Iterable[str]) -> list[str]:
        """The name that is most like another one, if any is."""
        name = normal(text)
        some = sorted(among)
        if len(some) > MANY:  # those that begin like it
            place = bisect(some, name)
            some = some[max(0, place - MANY // 2) : place + MANY // 2]
        last = {one.rpartition("/")[2]: one for one in some}
        found = get_close_matches(name.rpartition("/")[2], last, 1, 0.6)
        return get_close_matches(name, some, 1, 0.6) or [last[one] for one in found]

    def _below(self, name: str) -> Iterator[str]:
        """A path without the folders that it begins with: of one from the root all of them, one after the other, of any
        other those that the folder itself lies in."""
        parts = name.strip("/").split("/")
        absolute = name.startswith("/") or re.match(r"[A-Za-z]:/", name) is not None
        for start in range(1, len(parts)):
            if absolute or parts[:start] == self.home[-start:]:
                yield "/".join(parts[start:])


def bare(name: str) -> str:
    """A name without the ending of a video."""
    front, dot, end = name.rpartition(".")
    return front if dot and front and f".{end.lower()}" in VIDEO_SUFFIXES else name
