"""The command line: machine output on stdout, progress and messages on stderr.

Exit status: 0 all done, 1 something is wrong (one line says what and where), 2 the command line is wrong, 3 done with
files left out. What takes time to load is imported inside, so that Ctrl-C is understood from the beginning.
"""

import sys
from collections.abc import Sequence

from wsvad.cli.process import as_process, as_rank, interrupted
from wsvad.errors import Interrupted, UsageError, WsvadError, shortage
from wsvad.interrupts import interrupted_by


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; by default the one of this process, which is to end then.

    Returns:
        The exit status.
    """
    if arguments is None:
        if sys.argv[1:2] == ["fit"]:
            as_rank()
        return as_process(lambda: main(sys.argv[1:]))
    end = arguments.index("--") if "--" in arguments else len(arguments)  # behind it are names, whatever they look like
    debug = "--debug" in arguments[:end]
    try:
        from wsvad.cli.answer import answer

        return answer([*(word for word in arguments[:end] if word != "--debug"), *arguments[end:]], debug=debug)
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:  # whoever read our output has left
        return 1
    except Exception as error:  # the last place: whatever it is becomes one line
        if interrupted_by(error) and not isinstance(error, Interrupted):
            return interrupted()
        if debug:
            raise
        from wsvad.cli.output import fail

        fail(told(error))
        return 2 if isinstance(error, UsageError) else 1


def told(error: Exception) -> str:
    """An error in a line."""
    short = shortage(error)
    if short and short not in str(error):
        return short
    if isinstance(error, WsvadError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    from wsvad.registry import at_fault

    whose = at_fault(error)
    what = f"an error in {whose}, which is another package" if whose else "internal error"
    return f"{what}: {type(error).__name__}: {error} (--debug shows where)"


if __name__ == "__main__":
    sys.exit(main())
