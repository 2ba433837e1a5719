"""One `wsvad` command of a benchmark, printed as it runs."""

import sys

from wsvad.cli.main import main


def wsvad(*words: str) -> None:
    """Run it; a failure ends the benchmark."""
    print("wsvad", *words, file=sys.stderr)
    if main(list(words)):
        sys.exit(1)
