"""`recipe:NAME_OR_FILE`: a network and how it is used, in a few lines of YAML that can be copied and changed.

    # pose.yaml
    model: hf:usyd-community/vitpose-base-simple
    licence: Apache-2.0
    why: What the body looks like in a frame, below the head that finds keypoints.
    stream: pose
    width: 768
    frames: 1
    pooling: middle

`model` is an encoder of one network. Beside the fields of `Head`, a recipe has those of that encoder's settings, with
the same names and limits as in `FILE.yaml`. The file or folder that `model` names is looked for beside the recipe, in
the models folder, and, as ORG/NAME, in the cache of Hugging Face; `recipe:NAME:FILE` names another one. NAME is one of
our own, which lie in `recipes/`.
"""

import dataclasses
import difflib
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from wsvad.encoders.beside import Settings, read_fields
from wsvad.encoders.hf.files import in_cache
from wsvad.errors import UsageError, WsvadError
from wsvad.files import is_file
from wsvad.ranges import Count
from wsvad.registry import Registry
from wsvad.shapes import problems
from wsvad.spelling import plain, short

OURS = Path(__file__).parent / "recipes"
TYPED = re.compile(r"(?P<recipe>[\w-]+|.+?\.ya?ml)(:(?P<model>.+))?")
"""What stands behind `recipe:`."""
SCHEME = "recipe"


def _line(text: str) -> str:
    return "" if text.strip() and len(text.splitlines()) == 1 and len(text) <= 300 else "one line of text"


def _stream(name: str) -> str:
    return "" if name.strip() and "/" not in name else "the name of a stream"


@dataclass(frozen=True, kw_only=True)
class Head:
    """What every recipe says."""

    model: str
    """An encoder of one network, as it is typed: `hf:ORG/NAME`, `i3d:FILE` …"""
    licence: Annotated[str, _line]
    """Of the weights."""
    why: Annotated[str, _line]
    """What it is good for, in a line."""
    stream: Annotated[str, _stream] = "rgb"
    """The stream that it makes."""
    width: Count | None = None
    """Numbers in a feature, if the network is the one that is meant."""
    get: Annotated[str, _line] | None = None
    """How to get the weights: a command, or an address."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe that was read."""

    name: str
    """As it is typed: a name, or the path of a file."""
    path: Path
    head: Head
    settings: Settings
    """Of the encoder, checked."""
    kind: Any
    """The encoder's class."""
    other: str = ""
    """File or folder of weights that is used instead of the one that `model` names."""

    @property
    def scheme(self) -> str:
        """Of the encoder."""
        return self.head.model.partition(":")[0]

    @property
    def wanted(self) -> str:
        """The file, folder or name of its weights; empty for an encoder without."""
        return self.other or self.head.model.partition(":")[2]

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return f"recipe {self.name}" if self.path.parent == OURS else str(self.path)

    @cached_property
    def weights(self) -> Path | None:
        """The weights that are at hand; None where they are not, or where it needs none."""
        if not self.wanted:
            return None
        asked = Path(self.wanted).expanduser()
        around = [models_folder()] if self.path.parent == OURS else [self.path.parent, models_folder()]
        for place in [Path()] if self.other else around:
            if os.path.lexists(path := place / asked):
                return path.absolute()
        try:
            return in_cache(self.wanted)
        except WsvadError:
            return None

    @property
    def ready(self) -> bool:
        """Whether its weights are at hand."""
        return not self.wanted or self.weights is not None

    @property
    def how(self) -> str:
        """How to get the weights."""
        if self.head.get:
            return self.head.get
        return (
            f"wsvad encoders --get {self.wanted}"
            if self.scheme == "hf"
            else f"put {self.wanted} into {models_folder()}"
        )

    @property
    def state(self) -> str:
        """Where its weights are, or how to get them."""
        if not self.wanted:
            return "needs none"
        return str(self.weights) if self.weights else f"not here; {self.how}"

    @property
    def resolved(self) -> str:
        """What is typed behind `recipe:` to mean the same in every folder."""
        name = self.name if self.path.parent == OURS else str(self.path)
        return f"{name}:{self.weights}" if self.weights else f"{name}:{self.other}" if self.other else name

    def build(self) -> Any:
        """The encoder.

        Raises:
            WsvadError: its weights are not at hand, are not of this width, or cannot be used like this.
        """
        if not self.ready:
            place = "there is no such file or folder" if self.other else f"not in {models_folder()}, nor in the cache"
            raise WsvadError(
                f"{self.called}: its weights {plain(self.wanted)}: {place}; to get them: {self.how}; or name them: "
                f"recipe:{self.name}:FILE"
            )
        weights = self.weights
        if weights and is_file(weights) and os.path.lexists(beside := weights.with_name(f"{weights.name}.yaml")):
            raise WsvadError(
                f"{beside}: says how {weights.name} is used, and so does {self.called}; remove this file, or use "
                f"{self.scheme}:{weights} without the recipe"
            )
        arguments = [str(weights)] if weights else []
        try:
            built = self.kind(*arguments, *([self.settings] if self.settings else []))
        except WsvadError as error:
            raise type(error)(self._explained(str(error))) from None
        if self.head.width not in (None, built.width):
            raise WsvadError(
                f"{self.called}: 'width' is {self.head.width}, but {weights or self.scheme} gives {built.width} "
                "numbers; use the weights that it is for, or correct it"
            )
        return built

    def _explained(self, error: str) -> str:
        """An error whose remedy is in the recipe, not in a file beside the weights."""
        beside = f"{self.weights}.yaml"
        return f"{self.called}: " + error.replace(f"{beside}: ", "").replace(Path(beside).name, self.called)


def models_folder() -> Path:
    """Where networks are searched for: `$WSVAD_MODELS`, else `wsvad/models` in the user's data directory
    (`$XDG_DATA_HOME`, else `~/.local/share`)."""
    if folder := os.environ.get("WSVAD_MODELS"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "wsvad" / "models"


def ours() -> list[str]:
    """Names of our own recipes."""
    return sorted(path.stem for path in OURS.glob("*.yaml"))


def read(argument: str, encoders: Registry) -> Recipe:
    """A recipe, by what is typed behind `recipe:`.

    Raises:
        UsageError: there is none of that name.
        WsvadError: the file is missing or wrong; the message names the field.
    """
    typed = TYPED.fullmatch(argument)
    name = typed["recipe"] if typed else argument
    path = path_of(name)
    given = read_fields(path)
    called = f"recipe {name}" if path.parent == OURS else str(path)
    try:
        kind, head, settings = _parts(given, encoders)
    except WsvadError as error:
        raise type(error)(f"{called}: {plain(error)}") from None
    other = (typed["model"] or "") if typed else ""
    if other and not kind.argument:
        raise UsageError(f"recipe:{plain(argument)}: {head.model} needs no weights; leave {plain(other)} out")
    return Recipe(name=name, path=path, head=head, settings=settings, kind=kind, other=other)


def path_of(name: str) -> Path:
    """The file of a recipe.

    Raises:
        UsageError: there is none of that name.
        WsvadError: there is no such file.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name).expanduser().absolute()
        if not os.path.lexists(path):
            raise WsvadError(f"{path}: there is no such recipe; 'wsvad encoders --recipes' lists ours")
        return path
    if name not in ours():
        near = difflib.get_close_matches(name, ours(), n=1)
        raise UsageError(
            f"no recipe is called '{short(name)}'; {f'did you mean {near[0]}? ' if near else ''}"
            f"a file ends in .yaml, and ours are: {', '.join(ours())}"
        )
    return OURS / f"{name}.yaml"


def _parts(given: Any, encoders: Registry) -> tuple[Any, Head, Settings]:
    """The encoder's class, what every recipe says, and the encoder's settings."""
    model = given.get("model") if isinstance(given, dict) else None
    if not isinstance(model, str):
        raise WsvadError("'model' is missing; write an encoder, as in 'model: hf:ORG/NAME' or 'model: i3d:FILE'")
    kind = _kind(model, encoders)
    shape = settings_of(kind, model.partition(":")[2])
    own, more = ([field.name for field in dataclasses.fields(one)] if one else [] for one in (Head, shape))
    for key in given:
        if key not in own + more:
            near = difflib.get_close_matches(str(key), own + more, n=1, cutoff=0.5)
            raise WsvadError(
                f"'{short(key)}' is not known; {f'did you mean {near[0]}? ' if near else ''}"
                f"the fields for {short(model)} are: {', '.join(own + more)}"
            )
    head, settings = ({key: given[key] for key in some if key in given} for some in (own, more))
    if problem := next((said for one, of in ((head, Head), (settings, shape)) if of for said in problems(one, of)), ""):
        raise WsvadError(f"{short(problem, 300)}; 'wsvad encoders --recipes NAME' shows one that is right")
    return kind, Head(**head), settings


def _kind(model: str, encoders: Registry) -> Any:
    """The class of the encoder that a recipe is for."""
    scheme, _, argument = model.partition(":")
    if scheme == SCHEME:
        raise WsvadError(f"'model' is {short(model)}, another recipe; copy its lines instead")
    kind = encoders[scheme]
    if kind.input not in ("video", "sound"):
        raise WsvadError(f"'model' is {short(model)}, which reads {kind.input}; a recipe is for video or sound")
    if bool(kind.argument) != bool(argument):
        raise WsvadError(f"'model' is {short(model)}; write {f'{scheme}:{kind.argument}' if kind.argument else scheme}")
    return kind


def settings_of(kind: Any, argument: str) -> Any:
    """The dataclass of an encoder's settings; None where it has none."""
    shape = getattr(kind, "settings_of", None)
    return shape if shape is None or isinstance(shape, type) else shape(argument)


class ByRecipe:
    """How `recipe:NAME_OR_FILE` is listed. `Recipe.build` gives the encoder."""

    input = "video"
    argument = "NAME_OR_FILE"
    summary = "one of the others, with weights and settings from a few lines of YAML; see --recipes"
