"""Which videos show one scene, by made-up edges and by real files; and what is said where there is but one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsvad.datasets.dataset import LabelledVideo
from wsvad.datasets.scenes import PICTURES, SIZE, edges_of, known_normal, pictures_of, promise, scenes_of, units
from wsvad.video.writer import write_video

RNG = np.random.default_rng(0)


def video(name, label=0, camera=None, path=True):
    return LabelledVideo(
        name=name, label=label, category="fight" if label else "normal", split="train", camera=camera,
        path=Path(name) if path else None,
    )  # fmt: skip


def rows(*directions, width=6):
    """Edges: unit vectors along these axes."""
    return np.eye(width, dtype=np.float16)[list(directions)]


def same(scenes, *names):
    return len({scenes[name] for name in names}) == 1


def test_videos_are_of_one_scene_where_pictures_are_alike_or_a_third_one_joins_them():
    edges = {"a": rows(0), "b": rows(0, 1), "c": rows(1), "d": rows(2), "e": rows(3, 3), "f": rows()}
    found = scenes_of([video(name) for name in edges], edges)
    assert list(found) == list(edges)
    assert same(found, "a", "b", "c")
    assert len(set(found.values())) == 4


def test_half_a_correlation_is_the_border():
    near, far = np.array([[0.51, 0.86]], np.float16), np.array([[0.49, 0.87]], np.float16)
    for other, alike in ((near, True), (far, False)):
        edges = {"a": np.array([[1, 0]], np.float16), "b": other}
        assert same(scenes_of([video("a"), video("b")], edges), "a", "b") is alike


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=12))
def test_groups_are_the_connected_components(pictures):
    names = [str(i) for i in range(len(pictures))]
    found = scenes_of([video(name) for name in names], {name: rows(*pictures[int(name)]) for name in names})
    reach = [{i} for i in range(len(pictures))]  # brute force: grow until nothing is added
    for _ in pictures:
        for i, own in enumerate(reach):
            shown = {axis for j in own for axis in pictures[j]}
            reach[i] = own | {j for j, other in enumerate(pictures) if shown & set(other)}
    for i in range(len(pictures)):
        for j in range(len(pictures)):
            assert same(found, names[i], names[j]) is (j in reach[i])


def test_a_camera_that_is_named_goes_before_pictures():
    alike = {name: rows(0) for name in "abcdef"}
    videos = [
        video("a", camera="Yard"), video("b", camera="  yard"), video("c", camera="Gate  2"),
        video("d", camera="gate 2"), video("e"), video("f"),
    ]  # fmt: skip
    found = scenes_of(videos, alike)
    assert [found[name] for name in "abcdef"] == [0, 0, 1, 1, 2, 2]


def test_videos_without_files_are_alone_unless_their_camera_is_named():
    videos = [video("a", path=False), video("b", path=False), *(video(n, camera="1", path=False) for n in "cd")]
    assert list(scenes_of(videos).values()) == [0, 1, 2, 2]
    assert scenes_of([]) == {}


def test_edges_forget_light_and_contrast_and_blank_pictures_are_like_nothing():
    picture = RNG.integers(0, 100, (1, 24, 32)).astype(np.uint8)
    pictures = np.concatenate([picture, picture * 2 + 30, np.full_like(picture, 9)])
    edges = edges_of(pictures).astype(np.float32)
    assert edges[0] @ edges[1] == pytest.approx(1, abs=0.01)
    assert not edges[2].any()
    assert np.linalg.norm(edges[0]) == pytest.approx(1, abs=0.01)
    assert edges_of(np.zeros((0, 24, 32), np.uint8)).shape == (0, 2 * 23 * 31)


def write(path, scene, frames=40):
    """A fixed scene with a square that moves, in light that fades."""
    found = []
    for i in range(frames):
        frame = (scene * (1 - 0.4 * i / frames)).astype(np.uint8)
        frame[20:30, i % 50 : i % 50 + 10] = 255
        found.append(np.repeat(frame[..., None], 3, 2))
    write_video(path, found, 10)


def scene(seed):
    blocks = np.random.default_rng(seed).integers(20, 230, (6, 8))
    return np.kron(blocks, np.ones((8, 8)))


def test_files_of_two_cameras_are_told_apart(tmp_path):
    names = ("a1", "b1", "a2", "b2", "a3")
    for place, name in enumerate(names):
        write(tmp_path / f"{name}.mp4", scene(name[0] == "a"), frames=20 + 10 * place)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = [
        LabelledVideo(name=name, label=0, category="normal", split="train", path=tmp_path / f"{name}.mp4")
        for name in (*names, "broken", "missing")
    ]
    assert list(scenes_of(videos).values()) == [0, 1, 0, 1, 0, 2, 3]


def test_a_long_video_is_seen_at_its_key_frames_and_from_end_to_end(tmp_path):
    dark = np.full((48, 64, 3), 20, np.uint8)
    dark[:, 32:] = 220
    write_video(tmp_path / "long.mp4", [dark] * 600 + [dark[:, ::-1]] * 600, 30)
    found = pictures_of(tmp_path / "long.mp4").astype(int)
    assert found.shape == (PICTURES, SIZE[1], SIZE[0])
    left_is_bright = found[:, :, 4].mean(1) > found[:, :, -4].mean(1)
    assert not left_is_bright[0] and left_is_bright[-1] and list(left_is_bright) == sorted(left_is_bright)


def test_of_joined_videos_the_parts_that_normal_videos_show_too_are_known():
    videos = [video("n1"), video("n2"), video("a1", 1), video("a2", 1), video("a3", 1)]
    looks = {"n1": rows(0, 1), "n2": rows(2), "a1": rows(0, 5, 2), "a2": rows(4, 1), "a3": rows(5, 5)}
    found = known_normal(videos, looks)
    assert {name: one.tolist() for name, one in found.items()} == {"a1": [True, False, True], "a2": [False, True]}


def test_of_fixed_cameras_nothing_is_known():
    videos = [video("n1"), video("a1", 1), video("a2", 1)]
    assert known_normal(videos, {"n1": rows(0), "a1": rows(0, 0), "a2": rows(0, 0)}) == {}
    assert known_normal(videos, {"n1": rows(0), "a1": rows(1, 1), "a2": rows(2)}) == {}
    assert known_normal(videos, {"n1": rows(0), "a1": rows(0, 1), "a2": rows(0)}) == {}  # of half, not of most
    assert known_normal(videos, {"a1": rows(0, 1), "a2": rows(0)}) == {}
    assert known_normal(videos, {}) == {}


# ------------------------------------------------------------------------------------------------- units, promise


def test_a_scene_with_most_of_a_label_is_divided_and_others_stay_together():
    videos = [video("n1"), video("n2"), video("n3"), video("n4"), video("n5"), video("a1", 1), video("a2", 1)]
    scenes = {"n1": 0, "n2": 0, "n3": 0, "n4": 1, "n5": 1, "a1": 1, "a2": 2}
    assert [[v.name for v in group] for group in units(videos, scenes)] == [
        ["n1"], ["n2"], ["n3"], ["n4", "n5", "a1"], ["a2"]
    ]  # fmt: skip
    assert len(units(videos, {})) == 7


def test_the_promise_is_of_this_camera_where_there_is_one():
    videos = [video("n1"), video("n2"), video("n3"), video("a1", 1)]
    one = promise(videos, dict.fromkeys(("n1", "n2", "n3", "a1"), 0))
    assert one.startswith("All 4 training videos show one scene") and "nothing of another" in one
    most = promise(videos, {"n1": 0, "n2": 0, "n3": 1, "a1": 0})
    assert most.startswith("3 of 4 training videos")
    each = promise(videos, {"n1": 0, "n2": 0, "n3": 0, "a1": 1} | {"a2": 1})
    assert each.startswith("3 of 4 training videos show one scene")
    both = promise([*videos, video("a2", 1)], {"n1": 0, "n2": 0, "n3": 0, "a1": 1, "a2": 1})
    assert both.startswith("All 5 training videos are of 2 scenes that each have most of the normal or of the abnormal")
    few = [*videos, video("a2", 1), *(video(f"m{i}") for i in range(9))]
    assert promise(few, {"a1": 0, "a2": 0, "n1": 0}).startswith("3 of 14 training videos")
    assert promise(videos, {"n1": 0, "n2": 1, "n3": 2, "a1": 3}) == ""
    assert promise(videos, {}) == ""
    assert promise([], {}) == ""
