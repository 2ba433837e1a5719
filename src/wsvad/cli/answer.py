"""What a command line asks for: help, or a verb. Only the verb that is called is imported, so that `wsvad --help` and
mistakes answer at once."""

import logging
from collections.abc import Sequence

from wsvad.cli.common import COMMAND
from wsvad.cli.help import overview, verb_page
from wsvad.cli.options import divided
from wsvad.cli.output import fail, prepare_stdout, show_text, talking
from wsvad.cli.parser import arguments_of, no_such
from wsvad.cli.verbs import BY_AUDIENCE, VERBS
from wsvad.errors import UsageError
from wsvad.version import __version__

HELP = ("-h", "--help", "--help=all")


def answer(words: Sequence[str], *, debug: bool) -> int:
    """Answer a question for help, or run a verb.

    Raises:
        WsvadError: something is wrong.
    """
    logging.captureWarnings(True)
    prepare_stdout()
    first, rest = (words[0], words[1:]) if words else ("", [])
    if first in HELP:
        show_text(overview(BY_AUDIENCE))
        return 0
    if first == "--version":
        show_text(f"wsvad {__version__}")
        return 0
    if first not in VERBS:
        raise UsageError(no_verb(first))
    verb = VERBS[first]
    if any(word in HELP for word in divided(rest)[0]):
        show_text(verb_page(first, verb, rest))
        return 0
    try:
        values = arguments_of(verb, rest)
    except UsageError as error:
        if debug:
            raise
        stop = "" if str(error).endswith("?") else ";"
        fail(f"{error}{stop} see 'wsvad {first} --help'", verb=first)
        return 2
    COMMAND.set([*words, *(["--debug"] if debug else [])])
    with talking(debug=debug):
        return verb.function(**values)


def no_verb(word: str) -> str:
    """That there is no such verb; the nearest one is offered."""
    listed = f"VERB is one of: {', '.join(VERBS)}"
    if not word:
        return f"a VERB is missing; {listed}"
    near = no_such("verb", word, list(VERBS))
    return f"{near}{'' if near.endswith('?') else ';'} {listed}"
