"""Addresses of cameras: what is wrong with them, and that no password is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.environment import hidden
from wsvad.errors import WsvadError
from wsvad.video.address import Source


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://gate:secret@camera/1", "rtsp://gate:***@camera/1"),
        ("rtsp://gate:se@cret@camera:554/1", "rtsp://gate:***@camera:554/1"),
        ("rtsp://gate:se/cret@camera/1", "rtsp://gate:***@camera/1"),
        ("rtsp://gate:12/34@camera/1", "rtsp://gate:***@camera/1"),
        ("rtsp://:secret@camera", "rtsp://:***@camera"),
        ("rtsp://gate@camera/1", "rtsp://gate@camera/1"),
        ("rtsp://camera:554/1", "rtsp://camera:554/1"),
        ("http://camera/video?user=gate&pwd=secret&channel=1", "http://camera/video?user=gate&pwd=***&channel=1"),
        ("https://camera/a?access_token=secret#x", "https://camera/a?access_token=***#x"),
        ("lost rtsp://a:secret@b/1 and http://c:secret@d", "lost rtsp://a:***@b/1 and http://c:***@d"),
    ],
)
def test_what_is_shown_of_an_address(address, shown):
    assert hidden(address) == shown


@given(st.text(st.characters(exclude_categories=("Z", "C")), min_size=8, max_size=20))
def test_no_password_is_shown_whatever_is_in_it(password):
    address = f"rtsp://user:{password}@camera/1"
    said = hidden(address)
    try:
        said += Source(address=address).shown
    except WsvadError as error:
        said += str(error)
    assert said.startswith("rtsp://user:***@") and password not in said


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("rtsp:///1", "rtsp:///1: has no host; write rtsp://HOST/PATH"),
        ("rtsp://gate:secret@/1", r"rtsp://gate:\*\*\*@/1: has no host"),
        ("rtsp://camera:port/1", "the port is no number"),
        ("rtsp://camera:99999/1", "the port is no number"),
        ("rtsp:/camera/1", "an address has two slashes"),
        ("rtsp://came ra/1", "an address has no spaces; write %20 for one"),
        ("ftp://camera/1", "ftp:// is not known here; addresses begin with rtsp://, rtsps://, http://, https://"),
        ("file:///video.mp4", "give the file's path without file://"),
        ("camera.mp4", "camera.mp4: there is no such video file"),
    ],
)
def test_what_cannot_be_an_address_is_one_line(address, says):
    with pytest.raises(WsvadError, match=says) as caught:
        Source(address=address)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_what_an_address_is(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_bytes(b"x")
    kinds = [Source(address=a).kind for a in ("rtsp://a", "RTSPS://a", "http://a/b", "/dev/video0", str(file))]
    assert kinds == ["rtsp", "rtsp", "http", "device", "file"]
    assert Source(address="RTSPS://Gate:Secret@Camera/1").address == "rtsps://Gate:Secret@Camera/1"
    assert "secret" not in repr(Source(address="rtsp://a:secret@b"))
