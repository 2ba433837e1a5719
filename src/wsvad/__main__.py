"""`python -m wsvad` is `wsvad`."""

import sys

from wsvad.cli.main import main

if __name__ == "__main__":  # processes that extract import it, too
    sys.exit(main())
