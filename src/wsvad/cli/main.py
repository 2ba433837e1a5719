"""The command line: machine output on stdout, progress and messages on stderr.

Exit status: 0 all done, 1 something is wrong (one line says what and where), 2 the command line is wrong, 3 done with
files left out. Only the verb that is called is imported, so that `wsvad --help` and mistakes answer at once.
"""

import logging
import sys
from collections.abc import Sequence

from wsvad.cli.help import overview, verb_page
from wsvad.cli.output import fail, mute, prepare_stdout, show_text, talking
from wsvad.cli.parser import arguments_of, no_such
from wsvad.cli.verbs import BY_AUDIENCE, VERBS
from wsvad.errors import UsageError, WsvadError
from wsvad.registry import at_fault
from wsvad.version import __version__

HELP = ("-h", "--help", "--help=all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    logging.captureWarnings(True)
    prepare_stdout()
    try:
        return run([word for word in given if word != "--debug"], debug=debug)
    except WsvadError as error:
        if debug:
            raise
        fail(error)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to resume")
        return 1
    except BrokenPipeError:
        mute()
        return 1
    except OSError as error:
        if debug:
            raise
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else f"{error}")
        return 1
    except Exception as error:
        if debug:
            raise
        whose = at_fault(error)
        what = f"an error in {whose}, which is another package" if whose else "internal error"
        fail(f"{what}: {type(error).__name__}: {error} (--debug shows where)")
        return 1


def run(words: Sequence[str], *, debug: bool) -> int:
    """Answer a question for help, or run a verb.

    Raises:
        WsvadError: something is wrong.
    """
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
    if any(word in HELP for word in rest):
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
    with talking(debug=debug):
        return verb.function(**values)


def no_verb(word: str) -> str:
    """That there is no such verb; the nearest one is offered."""
    listed = f"VERB is one of: {', '.join(VERBS)}"
    if not word:
        return f"a VERB is missing; {listed}"
    near = no_such("verb", word, list(VERBS))
    return f"{near}{'' if near.endswith('?') else ';'} {listed}"


if __name__ == "__main__":
    sys.exit(main())
