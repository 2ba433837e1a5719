"""What is taken for a video, by its ending or by its first bytes; photos are known as what they are."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from PIL import Image
from raw_streams import write_dhav, write_raw

from wsvad.datasets.folder import open_folder, videos_below
from wsvad.errors import WsvadError
from wsvad.video.kinds import is_video, photo
from wsvad.video.reader import VideoReader

CLIPS = {
    ".mp4": {}, ".mkv": {}, ".avi": {"codec": "mpeg4"}, ".ts": {}, ".mov": {}, ".flv": {},
    ".wmv": {"codec": "msmpeg4v3"},
    ".mpg": {"codec": "mpeg2video"}, ".webm": {"codec": "libvpx"}, ".m2ts": {"muxer": {"mpegts_m2ts_mode": "1"}},
    ".m2v": {"codec": "mpeg2video"},
}  # fmt: skip


def renamed(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


@pytest.mark.parametrize("suffix", CLIPS)
def test_containers_are_known_by_their_first_bytes(tmp_path, suffix):
    path = renamed(write_clip(tmp_path / f"clip{suffix}", 5, **CLIPS[suffix]), "camera.unknown")
    assert is_video(path)
    assert list(videos_below(tmp_path)) == ["camera.unknown"]


@pytest.mark.parametrize("suffix", [".h264", ".hevc", ".m4v", ".dav"])
@pytest.mark.parametrize("name", ["camera.unknown", "camera", "camera.2024-05-01"])
def test_raw_streams_are_known_by_their_first_bytes(tmp_path, suffix, name):
    make = write_dhav if suffix == ".dav" else write_raw
    assert is_video(renamed(make(tmp_path / f"clip{suffix}", 5, 20), name))


def test_what_begins_otherwise_is_none(tmp_path):
    begins = {
        "README": b"# Camera 3\n", "empty": b"", "short": b"\0\0\1", "icon.cur": b"\0\0\1\0\1\0\x10\x10",
        "font.xyz": b"\0\1\0\0\0\x0f", "zeros": bytes(5000), "sound.unknown": b"\0\0\0\x20ftypM4A ",
        "count": b"\0\0\0\1\1\0\0\0", "store": b"\0\0\0\1Bud1",
        "letters": b"G" * 5000 + b"ood", "waves.unknown": b"RIFF\0\0\0\0WAVEfmt ",
    }  # fmt: skip
    for name, begin in begins.items():
        (tmp_path / name).write_bytes(begin)
    begins.pop("letters")  # it has the sync byte of a transport stream wherever one is looked for
    assert [name for name in begins if is_video(tmp_path / name)] == []


def test_an_ending_that_says_otherwise_is_believed(tmp_path):
    """What is still being copied, a table, a thumbnail: none of them is opened."""
    content = write_clip(tmp_path / "clip.mp4", 5).read_bytes()
    for name in ("clip.mp4.part", "clip.csv", "clip.txt", "clip.safetensors", "clip.JPG", "clip.crdownload"):
        (tmp_path / name).write_bytes(content)
    assert list(videos_below(tmp_path)) == ["clip.mp4"]


def test_a_broken_file_with_a_videos_ending_is_one(tmp_path):
    for name in ("broken.mp4", "broken.DAV", "broken.265"):
        (tmp_path / name).write_bytes(b"nothing")
        assert is_video(tmp_path / name)
        with pytest.raises(WsvadError, match=f"{name}: not a video that can be read"):
            VideoReader(tmp_path / name)


def picture(form: str, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(noise).save(file, form, **options)
    return file.getvalue()


def with_thumbnail(content: bytes, marker: bytes) -> bytes:
    """A photo with a smaller one in a segment of its head, as cameras write it."""
    inner = marker + picture("JPEG", quality=20)
    return content[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + content[2:]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)
PREVIEWS = b"\xff\xd8\xff\xe2\0\x08MPF\0II"
PHOTOS = {
    "JPEG": picture("JPEG"), "progressive": picture("JPEG", progressive=True), "PNG": picture("PNG"),
    "TIFF": picture("TIFF"), "WebP": picture("WEBP"), "BMP": picture("BMP"), "HEIC": HEIC,
    "thumbnail": with_thumbnail(picture("JPEG"), b"Exif\0\0"),
    "previews": PREVIEWS + picture("JPEG")[2:] + picture("JPEG"),
    "motion": picture("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(500),
    "cut off": picture("JPEG")[:400],
}  # fmt: skip


@pytest.mark.parametrize("form", PHOTOS)
@pytest.mark.parametrize("name", ["photo.mp4", "photo.jpg", "photo"])
def test_a_photo_is_refused_as_one(tmp_path, form, name):
    (tmp_path / name).write_bytes(PHOTOS[form])
    said = form if form.isupper() or form == "WebP" else "JPEG"
    assert photo(tmp_path / name) == said
    with pytest.raises(WsvadError, match=rf"{name}: a photo \({said}\), not a video"):
        VideoReader(tmp_path / name)


def test_a_photo_in_the_labels_is_named(tmp_path):
    (tmp_path / "gate.jpg").write_bytes(PHOTOS["JPEG"])
    (tmp_path / "labels.csv").write_text("video,label\ngate.jpg,0\n")
    with pytest.raises(WsvadError, match=r"gate\.jpg: a photo \(JPEG\); .*delete its row in labels\.csv"):
        open_folder(tmp_path)


def test_a_stream_of_jpegs_is_a_video(tmp_path):
    path = tmp_path / "camera.mjpeg"
    path.write_bytes(PHOTOS["JPEG"] * 5)
    assert photo(path) is None
    with VideoReader(path, raw_rate=5) as video:
        assert [float(frame.time) for frame in video] == [0, 0.2, 0.4, 0.6, 0.8]
