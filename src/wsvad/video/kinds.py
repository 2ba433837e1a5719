"""What a file is, by its ending and by how it begins: a video, a photo, or something that names other files.

A file is taken for a video by an ending that only videos have, whatever is in it, so that a damaged one is told. Of
other files the first bytes are looked at, but for those whose ending says what else they are.
"""

from pathlib import Path

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,kux,asf,asf_o,ogg,mxf,gxf,nut,nuv,nsv,rm,dv,dhav,wtv,ty,"
    "pva,swf,gif,ivf,obu,av1,h261,h263,h264,hevc,vvc,evc,m4v,vc1,vc1test,cavsvideo,avs2,avs3,dirac,dnxhd,mjpeg,"
    "mjpeg_2000,mpjpeg,smjpeg,ingenient,ipmovie,lmlm4,yuv4mpegpipe"
)
"""FFmpeg's names of the formats that are read: videos that are whole in themselves. Lists and descriptions
(concat, HLS, DASH, SDP), sequences of images and devices are none."""
_VIDEO_ENDINGS = """
mp4 avi mkv mov m4v webm mpg mpeg ts wmv flv mts m2ts 3gp asf ogv vob dav h264 264 avc h265 265 hevc mjpeg mjpg
"""
_OTHER_ENDINGS = """
csv tsv txt md log ini cfg json jsonl yaml yml xml html htm css js py sh pdf doc docx xls xlsx ods odt srt vtt ass edl
ics npy npz safetensors pt pth pkl pickle onnx tflite h5 hdf5 mat idx db sqlite jpg jpeg jpe png heic heif avif gif bmp
tif tiff webp svg ico mp3 wav aac m4a mka flac ogg oga opus wma zip gz xz bz2 zst tar tgz 7z rar iso exe dll lnk url
part partial crdownload download tmp temp bak old orig
"""
VIDEO_SUFFIXES = {f".{ending}" for ending in _VIDEO_ENDINGS.split()}
OTHER_SUFFIXES = {f".{ending}" for ending in _OTHER_ENDINGS.split()}
"""Endings of files that are no videos, or not yet: they are not opened to see."""
_REFERRING = {
    b"ffconcat": "a list for FFmpeg's concat",
    b"#extm3u": "a playlist (M3U)",
    b"[playlist]": "a playlist (PLS)",
    b"v=0": "a description of a stream (SDP)",
    b"rtsp://": "an address",
    b"http": "an address",
    b"<?xml": "a description in XML, as of DASH",
    b"<mpd": "a description of a stream (DASH)",
    b"<asx": "a playlist (ASX)",
    b"<smil": "a playlist (SMIL)",
}
"""How files begin that name others, in small letters, and what they are."""
_PHOTOS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_PHOTO_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"mif1": "HEIF", b"mif2": "HEIF",
                 b"avif": "AVIF"}  # fmt: skip
_SOUND_BRANDS = {b"M4A ", b"M4B ", b"M4P "}
_CONTAINERS = (
    b"\x1aE\xdf\xa3", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11", b"DKIF", b"\0\0\1\xba", b"DHAV", b"DAHUA", b"IMKH"
)  # fmt: skip
"""Matroska and WebM, Flash, Windows Media, IVF, program streams, two of Dahua's, Hikvision's."""
_MPEG = {0xB0, 0xB3}
"""Start codes with which MPEG-4, and MPEG-1 and -2 begin."""
_H264 = {0x06, 0x09} | {importance << 5 | unit for importance in (1, 2, 3) for unit in (1, 5, 7)}
_H265 = {unit << 1 for unit in (1, 19, 20, 21, 32, 33, 34, 35, 39)}
"""Heads of the units with which raw streams begin: messages, delimiters; pictures and parameters, which others need."""
_LARGEST_PICTURE = 2**26
"""Bytes in which the end of a JPEG is looked for."""


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video: by its ending, or by how it begins."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return True
    if suffix in OTHER_SUFFIXES:
        return False
    try:
        return _begins_as_video(_begin(path))
    except OSError:
        return False


def is_wrapped(path: Path) -> bool:
    """Whether a file begins as a container that has timestamps. Others may be raw streams, which have none."""
    return _begins_as_container(_begin(path))


def photo(path: Path) -> str | None:
    """The format of a file that is a photo; None if it is not known to be that."""
    begin = _begin(path)
    if begin[4:8] == b"ftyp":
        return _PHOTO_BRANDS.get(begin[8:12])
    if begin.startswith(b"\xff\xd8\xff"):
        return "JPEG" if _is_lone_jpeg(path) else None
    if begin.startswith(b"RIFF") and begin[8:12] == b"WEBP":
        return None if b"ANIM" in begin[:64] else "WebP"
    if begin.startswith(b"BM") and int.from_bytes(begin[2:6], "little") == path.stat().st_size:
        return "BMP"
    return next((what for start, what in _PHOTOS.items() if begin.startswith(start)), None)


def referring(path: Path) -> str | None:
    """What a file is that names others instead of holding a video itself; None if it is not known to be that."""
    begin = _begin(path).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for start, what in _REFERRING.items() if begin.startswith(start)), None)


def _begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def _begins_as_video(begin: bytes) -> bool:
    return _begins_as_container(begin) or _begins_as_units(begin)


def _begins_as_container(begin: bytes) -> bool:
    if begin[4:8] == b"ftyp":
        return begin[8:12] not in _SOUND_BRANDS | _PHOTO_BRANDS.keys()
    riff = begin.startswith(b"RIFF") and begin[8:12] == b"AVI "
    return riff or begin.startswith(_CONTAINERS) or _begins_as_transport(begin)


def _begins_as_transport(begin: bytes) -> bool:
    """A sync byte every 188 bytes; recorders' packets (M2TS) have a time of 4 bytes before each."""
    return begin[: 4 * 188 : 188] == b"GGGG" or begin[4 : 4 * 192 : 192] == b"GGGG"


def _begins_as_units(begin: bytes) -> bool:
    """A start code, and after it what H.264, H.265, MPEG-1, -2 or -4 have there."""
    for start in (b"\0\0\1", b"\0\0\0\1"):
        if begin.startswith(start) and len(begin) > len(start) + 1:
            first, second = begin[len(start) : len(start) + 2]
            return first in _H264 | _MPEG or (first in _H265 and second == 1)
    return False


def _is_lone_jpeg(path: Path) -> bool:
    """Whether a file of JPEG is one picture, with its previews, rather than a stream of pictures."""
    with path.open("rb") as file:
        data = file.read(_LARGEST_PICTURE)
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        if data[at + 1] == 0xE2 and data[at + 4 : at + 8] == b"MPF\0":  # says that previews follow the picture
            return True
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    end = data.find(b"\xff\xd9", at)
    return end < 0 or not data[end + 2 : end + 66].lstrip(b"\0").startswith(b"\xff\xd8")
