"""Things that are found by name: methods, encoders, datasets, sinks. Open to other packages by entry points."""

import logging
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from traceback import walk_tb
from typing import Any

from wsvad.errors import UsageError, WsvadError

logger = logging.getLogger(__name__)


KINDS = ("method", "encoder", "dataset", "sink")


def at_fault(error: BaseException) -> str:
    """The other package in whose code an error came up, and its version; empty where it was in none."""
    frames = (frame.f_globals.get("__name__") or "" for frame, _ in walk_tb(error.__traceback__))
    modules = {name.partition(".")[0] for name in frames}
    for point in (point for kind in KINDS for point in _points_of(kind, tuple(sys.path))):
        if re.split(r"[.:]", point.value)[0] in modules - {"wsvad"} and (dist := getattr(point, "dist", None)):
            return f"{dist.name} {dist.version}"
    return ""


@cache
def _points_of(kind: str, path: tuple[str, ...]) -> EntryPoints:
    """What other packages bring; it is asked for often, and each time every installed package would be read."""
    return entry_points(group=f"wsvad.{kind}s")


class Registry:
    """Names to objects that are imported when they are first asked for.

    Another package adds to it with an entry point in the group `wsvad.<kind>s`:

        [project.entry-points."wsvad.methods"]
        my-method = "my_package.my_method:MyMethod"

    Our own names stay ours; `examples/plugin` is such a package.
    """

    def __init__(self, kind: str, *needs: str, **places: str):
        """`places` maps each name (underscores stand for hyphens) to "module:object"; `needs` are what an object of
        another package must have."""
        self.kind = kind
        self._needs = needs
        self._places = {name.replace("_", "-"): place for name, place in places.items()}

    def _points(self) -> EntryPoints:
        return _points_of(self.kind, tuple(sys.path))

    def _all_places(self) -> dict[str, str]:
        return {point.name: point.value for point in self._points()} | self._places

    def package(self, name: str) -> str:
        """The other package that brings a name, and its version, `wsvad-example 0.1.0`; empty for a name of wsvad's."""
        if name in self._places:
            return ""
        found = (getattr(point, "dist", None) for point in self._points() if point.name == name)
        return next((f"{dist.name} {dist.version}" for dist in found if dist), "")

    def who(self, name: str) -> str:
        """What a name stands for, in messages: `method 'top-mean' of wsvad-example 0.1.0`."""
        package = self.package(name)
        return f"{self.kind} '{name}'{f' of {package}' if package else ''}"

    def name_of(self, thing: Any) -> str:
        """The name of an object, or of the class of one; that of the class itself where it has none here."""
        kind = thing if isinstance(thing, type) else type(thing)
        places = self._all_places()
        same = (name for name, place in places.items() if place == f"{kind.__module__}:{kind.__qualname__}")
        return next(same, kind.__name__)

    def working(self) -> Iterator[tuple[str, Any]]:
        """Names and objects, without those of other packages that cannot be used, which is logged."""
        for name in self:
            try:
                yield name, self[name]
            except WsvadError as error:
                logger.warning("left out: %s", error)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._all_places()))

    def __getitem__(self, name: str) -> Any:
        """The object of that name.

        Raises:
            UsageError: there is none; the message lists those that there are.
            WsvadError: it is another package's, which cannot be imported.
        """
        places = self._all_places()
        if name not in places:
            raise UsageError(f"no {self.kind} is called '{name}'; choose one of: {', '.join(sorted(places))}")
        module, _, attribute = places[name].partition(":")
        try:
            found = getattr(import_module(module), attribute)
        except Exception as error:
            if name in self._places:
                raise
            raise WsvadError(
                f"{self.kind} '{name}' comes from another package ({self.package(name) or places[name]}), which cannot "
                f"be imported: {type(error).__name__}: {error}; fix that package, or uninstall it"
            ) from error
        if name not in self._places and (lacking := [one for one in self._needs if not hasattr(found, one)]):
            raise WsvadError(f"{self.who(name)} has no {', '.join(lacking)}; fix that package, or uninstall it")
        return found
