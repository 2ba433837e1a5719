"""Clips play in a browser, those of copied packets and those that were encoded anew."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import EXECUTABLE, Chromium
from containers import FORMS, make
from packets import Camera, Filmed, pictures

from wsvad.video.clips import Span, cut
from wsvad.video.live_clips import write_clip
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
    # It plays from its first frame, and the last can be sought.
    plays(page, tmp_path / "clip.mp4", 6.7 - clip.start, 128)


@pytest.mark.parametrize("codec", ["libx264", "libx264-b", "libsvtav1", "mjpeg"])
def test_a_clip_of_a_camera_plays(codec: str, page: Chromium, tmp_path: Path) -> None:
    """Also where the connection was lost for two seconds."""
    camera, filmed = Camera(), Filmed(pictures(60), codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    camera.connect(filmed)
    camera.sent(filmed)
    camera.stretches.end("connection", "gone")
    camera.now += 2
    camera.connect(filmed)
    camera.sent(filmed)
    camera.ring.close()
    clip = write_clip(camera.ring, tmp_path / "clip.mp4", 1.0, lambda: 6.0)
    assert clip.copied == (codec != "mjpeg")
    plays(page, tmp_path / "clip.mp4", float(clip.end - clip.start), 64)


def plays(page: Chromium, clip: Path, seconds: float, width: int) -> None:
    """Play it, and seek its end."""
    page_of = clip.with_name("page.html")
    page_of.write_text(f'<video src="{clip.name}" muted></video>')
    page.visit(page_of.as_uri(), width=800)
    page.wait("document.querySelector('video').readyState >= 2 || document.querySelector('video').error")
    assert page.evaluate("document.querySelector('video').error") is None
    duration = page.evaluate("document.querySelector('video').duration")
    assert duration == pytest.approx(seconds, abs=0.3)
    page.evaluate("document.querySelector('video').play()")
    page.wait("document.querySelector('video').currentTime > 0.1")
    page.evaluate("document.querySelector('video').pause()")
    page.evaluate(f"document.querySelector('video').currentTime = {duration - 0.1}")
    page.wait("!document.querySelector('video').seeking && document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').videoWidth") == width
