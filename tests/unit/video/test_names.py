"""Names of videos: one for each file, whoever wrote it, and one file for each."""

import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.errors import WsvadError
from wsvad.video.names import checked_name, distinct_names, file_stems, matched, normal, video_name
from wsvad.video.names import named as taken_apart

NFC, NFD = "caf\u00e9/fl\u00fcr.mp4", "cafe\u0301/flu\u0308r.mp4"
texts = st.text(st.sampled_from("ab./\\ :C\u00e9e\u0301\u212b\udcff\ud800\u2000%")) | st.text()


@pytest.mark.parametrize(
    "written", [NFC, NFD, NFD.replace("/", "\\"), f"./{NFC}", f".\\{NFD}", NFC.replace("/", "//"), f" {NFC} "]
)
def test_all_spellings_are_one_name(written):
    assert checked_name(written) == normal(written) == NFC


@given(texts)
def test_a_name_is_its_own_name_composed_and_without_backslashes(text):
    name = normal(text)
    assert normal(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert "\\" not in name
    assert name.encode("utf-8").decode("utf-8") == name
    assert normal(unicodedata.normalize("NFD", name)) == name
    assert normal(name.replace("/", "\\")) == name


@given(texts)
def test_a_checked_name_stays_below_its_folder(text):
    try:
        name = checked_name(text)
    except WsvadError:
        return
    assert name == normal(text) != ""
    assert not PurePosixPath(name).is_absolute()
    assert not PureWindowsPath(name).is_absolute()
    assert not {"..", ".", ""} & set(name.split("/"))


@pytest.mark.parametrize("text", ["", ".", "./", "/a.mp4", "\\a.mp4", "C:\\a.mp4", "c:/a", "../a", "b\\..\\a", "b/.."])
def test_what_leads_out_of_the_folder_is_no_name(text):
    with pytest.raises(WsvadError, match="outside the folder"):
        checked_name(text)


def test_a_files_name_is_its_path_below_the_folder():
    assert video_name(Path("/data/videos/gate/cam0.mp4"), Path("/data/videos")) == "gate/cam0.mp4"
    assert video_name(Path("/data/videos/gate/cam0.mp4")) == "cam0.mp4"
    assert video_name(Path("videos") / NFD, Path("videos")) == NFC
    assert video_name(Path("a\udcff.mp4")) == "a%FF.mp4"


def named(*paths: str) -> list[str]:
    return [name for name, _ in distinct_names([(video_name(Path(path)), Path(path)) for path in paths])]


def test_parents_tell_equal_names_apart():
    assert named("/x/gate/cam0.mp4", "/x/yard/cam0.mp4", "/x/yard/cam1.mp4") == [
        "gate/cam0.mp4", "yard/cam0.mp4", "cam1.mp4",
    ]  # fmt: skip
    assert named("/a/day/cam0.mp4", "/b/day/cam0.mp4") == ["a/day/cam0.mp4", "b/day/cam0.mp4"]
    assert named("/cam0.mp4", "/b/../b/day/cam0.mp4") == ["cam0.mp4", "day/cam0.mp4"]


def test_a_name_that_grows_may_meet_another():
    videos = [("cam0.mp4", "/x/gate/cam0.mp4"), ("cam0.mp4", "/x/yard/cam0.mp4"), ("gate/cam0.mp4", "/y/gate/cam0.mp4")]
    found = [name for name, _ in distinct_names([(name, Path(path)) for name, path in videos])]
    assert found == ["x/gate/cam0.mp4", "yard/cam0.mp4", "y/gate/cam0.mp4"]


def test_two_files_that_no_parent_tells_apart_are_an_error():
    with pytest.raises(WsvadError, match="another file that was given has the same name"):
        named(f"/x/{NFC}", f"/x/{NFD}")


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), unique=True))
def test_distinct_names_are_distinct_endings_of_their_paths(paths):
    names = named(*(f"/{path}" for path in paths))
    assert len(set(names)) == len(paths)
    assert all(path == name or path.endswith(f"/{name}") for path, name in zip(paths, names, strict=True))


def test_files_about_a_video_are_named_after_it_without_its_ending_where_that_tells_them_apart():
    assert file_stems(["a/b.avi", "a/b.mp4", "b.mp4", "a/b.mp4.mkv", "plain", "x.1.mp4"]) == {
        "a/b.avi": "a/b.avi", "a/b.mp4": "a/b.mp4", "b.mp4": "b", "a/b.mp4.mkv": "a/b.mp4.mkv", "plain": "plain",
        "x.1.mp4": "x.1",
    }  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(["a", "mp4", "avi"]), min_size=1, max_size=4).map(".".join), unique=True))
def test_no_two_videos_share_their_files(videos):
    assert len(set(file_stems(videos).values())) == len(videos)


@pytest.mark.parametrize(
    ("name", "videos", "means"),
    [
        ("door/0900.mp4", ["gate/0900.mp4"], None),
        ("door/0900.npy", ["gate/0900.mp4", "door/0900.mp4"], "door/0900.mp4"),
        ("/data/cams/door/0900.npy", ["gate/0900.mp4", "cams/door/0900.mp4"], "cams/door/0900.mp4"),
        ("door/0900.npy", ["cams/door/0900.mp4", "cams/gate/0900.mp4"], "cams/door/0900.mp4"),
        ("Abuse/0900.mp4", ["0900"], "0900"),
        ("0900", ["gate/0900.mp4"], "gate/0900.mp4"),
        ("x" + "/x" * 5000 + "/0900", ["0900"], "0900"),
        ("lobby_clip.mp4", ["lobby.mp4"], None),
        ("lobby_flow.mp4", ["lobby.mp4"], None),
        ("lobby__0.mp4", ["lobby.mp4"], None),
        ("lobby_clip.npy", ["lobby.mp4"], "lobby.mp4"),
        ("lobby_clip.npy", ["lobby.mp4", "lobby_clip.mp4"], "lobby_clip.mp4"),
        ("lobby_clip__3.npy", ["lobby.mp4", "lobby_clip.avi"], "lobby_clip.avi"),
        ("lobby.mp4_i3d__3.npy", ["lobby.mp4"], "lobby.mp4"),
    ],
)
def test_a_name_means_a_video_of_its_own_folder(name, videos, means):
    assert matched([name], videos) == ({name: means} if means else {})


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@given(st.sets(paths), st.sets(paths))
def test_a_name_means_the_only_video_that_it_may_be(names, videos):
    def same(name, video):
        """One of the two is the end of the other."""
        return f"/{name}".endswith(f"/{video}") or f"/{video}".endswith(f"/{name}")

    means = {}
    for name in names:
        possible = [name] if name in videos else [video for video in videos if same(name, video)]
        if len(possible) == 1 and (name in videos or possible[0] not in names):
            means[name] = possible[0]
    once = {name: video for name, video in means.items() if list(means.values()).count(video) == 1}
    assert matched([f"{name}.npy" for name in names], [f"{video}.mp4" for video in videos]) == {
        f"{name}.npy": f"{video}.mp4" for name, video in once_by_name(names, videos, same).items()
    }
    assert matched(names, videos) == once | {name: name for name in names & videos}


def once_by_name(names, videos, same):
    """As where no name is a video's as it stands, for the endings differ."""
    means = {n: those[0] for n in names if len(those := [v for v in videos if same(n, v)]) == 1}
    return {name: video for name, video in means.items() if list(means.values()).count(video) == 1}


def test_what_stands_before_a_videos_own_ending_is_its_name():
    assert [taken_apart(name).video for name in ("a_clip.mp4", "a_clip.npy", "a__0.mkv", "a.mp4__0.npy")] == [
        "a_clip", "a", "a__0", "a",
    ]  # fmt: skip
