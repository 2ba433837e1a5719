"""What `--help` shows: the program's page, and a page a verb that fits on one screen; `--help=all` shows everything."""

import textwrap
from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from jsonargparse import DefaultHelpFormatter

from wsvad.ranges import limits_of, plain_type

if TYPE_CHECKING:
    from wsvad.cli.parser import Verb

WIDTH = 100
COMMON = ("seeds", "hold_out", "device")
"""Fields of the protocol on a verb's short page."""
OF_EXTRACTION = ("decode",)
"""Options that stand on the short page of `extract` alone."""
SELDOM = ("all", "raw_rate", "memory")
ALIASES = ("pose", "depth", "mask", "flow", "text")
"""Options that are on no short page, and those that stand there in the line of `--stream`."""
STATUSES = """\
exit status:
    0  all done
    1  something is wrong, or a check found something wrong; one line says what and where
    2  the command line is wrong
    3  done, but files were left out; each is named"""


def hyphenated(name: str) -> str:
    """An option as it is shown: `hold_out` → `hold-out`."""
    return name.replace("_", "-")


def word_of(of: Any, name: str = "") -> str:
    """What a value is, in a word: of an annotation, or of a parser's option."""
    if isinstance(of, Action):
        hint = getattr(of, "_typehint", None)
        return str(of.metavar) if hint is None else word_of(hint, of.dest.rpartition(".")[2])
    if words := [limit for limit in limits_of(of) if isinstance(limit, str)]:
        return words[0]
    plain = plain_type(of)
    if get_origin(plain) is Literal:
        return "|".join(map(str, get_args(plain)))
    if get_origin(plain) is tuple:
        return "LIST"
    return {int: "N", float: "NUMBER", bool: "yes|no", Path: "FILE"}.get(plain, hyphenated(name).upper() or "TEXT")


class Formatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
    """Options with hyphens, types in words, and defaults where they say something."""

    def __init__(self, prog: str, **options: Any):
        width = min(WIDTH, get_terminal_size((WIDTH, 24)).columns)
        super().__init__(prog, **{"width": width, "max_help_position": 30} | options)

    def _get_help_string(self, action: Action) -> str:
        words, default = action.help or "", action.default
        if action.nargs == 0 or default is None or default in (SUPPRESS, "", ()):
            return words
        shown = {True: "yes", False: "no"}.get(default, default) if isinstance(default, bool) else default
        shown = f"[{', '.join(map(str, shown))}]" if isinstance(shown, (tuple, list)) else shown
        return f"{words} (default: {shown})"

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return word_of(action)
        return hyphenated(action.option_strings[-1]) + ("" if action.nargs == 0 else f" {word_of(action)}")


def overview(verbs: Mapping[str, Mapping[str, "Verb"]]) -> str:
    """The page of the program: verbs by audience."""
    lines = [
        "usage: wsvad VERB ...",
        "",
        "Weakly-supervised video anomaly detection: from a folder of videos that are labelled as a whole to the",
        "moments when something abnormal happens. 'wsvad VERB --help' explains a verb.",
    ]
    for audience, group in verbs.items():
        lines += ["", f"{audience}:"]
        for name, verb in group.items():
            lines += textwrap.wrap(
                verb.help, WIDTH, initial_indent=f"    {name:<17} ", subsequent_indent=" " * 22, break_on_hyphens=False
            )
    lines += ["", "options:", "    --help            Show this page.", "    --version         Show the version."]
    lines += ["    --debug           Show more messages, and the traceback of an error.", "", STATUSES]
    return "\n".join(lines)


def verb_page(name: str, verb: "Verb", words: Sequence[str]) -> str:
    """The page of a verb, for the words that follow it."""
    from wsvad.cli.parser import verb_parser

    everything, parser = "--help=all" in words, verb_parser(verb)
    hidden = [] if everything else [action for action in parser._actions if _rare(verb, action)]
    for action in hidden:
        action.help = SUPPRESS
    if everything and verb.configures:
        from wsvad.cli.configs import add_help

        add_help(parser, verb, words)
    places = [word_of(a) + (" ..." if a.nargs == "+" else "") for a in parser._actions if not a.option_strings]
    required = [f"{hyphenated(a.option_strings[-1])} {word_of(a)}" for a in parser._actions if _required(a)]
    parser.usage = " ".join(["wsvad", name, *places, *required, "[options]"])
    parser.description = f"{verb_text(verb)}\n\nexample: {verb.example}"
    if hidden or (verb.configures and not everything):
        more = [*(["protocol options"] if verb.learns else []), *(["--config.…"] if verb.configures else [])]
        parser.epilog = f"'wsvad {name} --help=all' shows everything{': ' if more else ''}{' and '.join(more)}."
    return parser.format_help()


def verb_text(verb: "Verb") -> str:
    """What a verb does: its docstring as far as `Args:`."""
    text = textwrap.dedent("    " + (verb.function.__doc__ or "")).partition("\n\nArgs:")[0].strip()
    return "\n\n".join(textwrap.fill(part, WIDTH - 2) for part in text.split("\n\n"))


def _required(action: Action) -> bool:
    return bool(action.option_strings) and action.required


def _rare(verb: "Verb", action: Action) -> bool:
    """Whether an option stands on the long page alone."""
    if verb.learns:
        from wsvad.training.protocol import Protocol

        of_protocol = action.dest in Protocol.__dataclass_fields__ and action.dest not in COMMON
        if of_protocol or action.dest in OF_EXTRACTION:
            return True
    return action.dest in SELDOM or (verb.encodes and action.dest in ALIASES)
