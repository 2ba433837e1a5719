"""Clips play in a browser, those of copied packets and those that were encoded anew."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import EXECUTABLE, Chromium
from containers import FORMS, make

from wsvad.video.clips import Span, cut
from wsvad.video.reader import VideoReader

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(EXECUTABLE is None, reason="needs Chromium on the PATH"),
]


@pytest.fixture(scope="module")
def page() -> Iterator[Chromium]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Chromium(Path(profile)) as chromium:
        yield chromium


@pytest.mark.parametrize("name", FORMS)
def test_a_clip_plays(name: str, page: Chromium, tmp_path: Path) -> None:
    source = make(tmp_path / name)
    with VideoReader(source, threads=1) as video:
        frames = list(video)
    first, end = float(frames[0].time), float(frames[-1].time + frames[-1].duration)
    clip = cut(source, [Span(start=4.3, end=6.7, path=tmp_path / "clip.mp4")], first, end)[0]
    (tmp_path / "page.html").write_text('<video src="clip.mp4" muted></video>')
    page.visit((tmp_path / "page.html").as_uri(), width=800)
    page.wait("document.querySelector('video').readyState >= 2 || document.querySelector('video').error")
    assert page.evaluate("document.querySelector('video').error") is None
    duration = page.evaluate("document.querySelector('video').duration")
    assert duration == pytest.approx(6.7 - clip.start, abs=0.3)
    # It plays from its first frame, and the last can be sought.
    page.evaluate("document.querySelector('video').play()")
    page.wait("document.querySelector('video').currentTime > 0.1")
    page.evaluate("document.querySelector('video').pause()")
    page.evaluate(f"document.querySelector('video').currentTime = {duration - 0.1}")
    page.wait("!document.querySelector('video').seeking && document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').videoWidth") == 128
