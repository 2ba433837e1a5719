"""Take the picture of a report that the README shows: `python docs/screenshot.py report.html docs/report.png`.

Needs Chromium on the PATH.
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "e2e"))
from chromium import Chromium


def main(report: Path, picture: Path) -> None:
    """The head of the page and its first videos, the first one standing in the middle of its first event."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as page:
        page.visit(report.resolve().as_uri(), width=1180, height=900)
        page.evaluate("document.getElementById('figures')?.removeAttribute('open')")
        page.evaluate(
            "(() => { const event = document.querySelector('.events button')?.dataset; "
            "if (event) seek(document.querySelector('article'), (Number(event.start) + Number(event.end)) / 2); })()"
        )
        time.sleep(4)  # the player's controls fade away
        page.screenshot(picture)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
