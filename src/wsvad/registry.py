"""Things that are found by name: methods, encoders, datasets. Open to other packages by entry points."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from wsvad.errors import UsageError, WsvadError


class Registry:
    """Names to objects that are imported when they are first asked for.

    Another package adds to it with an entry point in the group `wsvad.<kind>s`:

        [project.entry-points."wsvad.methods"]
        my-method = "my_package.my_method:MyMethod"

    Our own names stay ours; `examples/plugin` is such a package.
    """

    def __init__(self, kind: str, **places: str):
        """`places` maps each name (underscores stand for hyphens) to "module:object"."""
        self.kind = kind
        self._places = {name.replace("_", "-"): place for name, place in places.items()}

    def _all_places(self) -> dict[str, str]:
        return {point.name: point.value for point in entry_points(group=f"wsvad.{self.kind}s")} | self._places

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
            return getattr(import_module(module), attribute)
        except Exception as error:
            if name in self._places:
                raise
            raise WsvadError(
                f"{self.kind} '{name}' comes from another package ({places[name]}), which cannot be imported: "
                f"{type(error).__name__}: {error}; fix that package, or uninstall it"
            ) from error
