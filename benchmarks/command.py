"""One `wsvad` command of a benchmark, printed as it runs."""

import sys

from wsvad.cli.main import main


def wsvad(*words: str) -> None:
    """Run it; a failure ends the benchmark, files that were left out do not."""
    print("wsvad", *words, file=sys.stderr)
    if main(list(words)) not in (0, 3):
        sys.exit(1)
