"""Which videos are the same, or share a part: oracles by construction, nothing where only the camera is."""

from pathlib import Path

import numpy as np
import pytest
from clips import walkers, write_clip, yard
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED

from wsvad.doctor import copies
from wsvad.doctor.copies import Copy, same_bytes, same_pictures
from wsvad.doctor.facts import SAMPLE, STEP, look_at, sampled
from wsvad.video.reader import Frame, VideoReader

PED2 = SHARED / "data" / "ucsd-ped2" / "videos"
PIXELS = SAMPLE[0] * SAMPLE[1]


def looked(path: Path) -> tuple[np.ndarray, float | None]:
    look = look_at(path, path.name, seconds=30)
    return look.samples, look.facts.seconds


def compared(paths: list[Path], tests: list[str] | None = None) -> list[Copy]:
    each = {path.name: looked(path) for path in paths}
    return same_pictures({k: x for k, (x, _) in each.items()}, {k: s for k, (_, s) in each.items()}, tests or [])


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("copies") / "original.mp4", walkers(1, 160), rate=20)


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("rate.mp4", 30, {}),
        ("slow.mp4", 8, {}),
        ("poor.mp4", 20, {"crf": "42"}),
        ("codec.avi", 20, {"codec": "mpeg4", "b": "150000"}),
        ("small.mkv", 25, {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    ],
)
def test_the_same_pictures_are_known_at_another_size_rate_and_codec(original, tmp_path, name, rate, options) -> None:
    images = walkers(1, 8 * rate, rate)
    if name == "small.mkv":
        images = [np.ascontiguousarray(image[::2, ::2]) for image in images]
    other = write_clip(tmp_path / name, images, rate=rate, **options)
    assert compared([original, other]) == [Copy(a="original.mp4", b=name, how="pictures")]


def test_other_moments_of_one_camera_are_not_the_same(original, tmp_path) -> None:
    others = [write_clip(tmp_path / f"{seed}.mp4", walkers(seed, 160), rate=20) for seed in range(2, 8)]
    names = [path.name for path in others]
    assert compared([original, *others], names[:3]) == []


def test_a_part_is_found_where_it_is_between_test_and_training_alone(original, tmp_path) -> None:
    part = write_clip(tmp_path / "part.mp4", walkers(1, 100, 25, start=3.1), rate=25)
    assert compared([original, part]) == []
    (found,) = compared([original, part], ["part.mp4"])
    assert (found.a, found.b, found.how) == ("original.mp4", "part.mp4", "part")
    assert found.at[0] - found.at[1] == pytest.approx(3.1, abs=0.13)
    assert found.seconds == pytest.approx(4.0, abs=1.0)


def test_what_does_not_move_or_repeats_itself_proves_nothing(tmp_path) -> None:
    still = [write_clip(tmp_path / f"still-{i}.mp4", [yard()] * 80, rate=20) for i in range(2)]
    lamp = []
    for i in range(2):
        images = [yard() for _ in range(160)]
        for n, image in enumerate(images):
            image[10:40, 10:40] = 255 if n % 20 < 10 else 0
        lamp.append(write_clip(tmp_path / f"lamp-{i}.mp4", images, rate=20, crf=str(4 + i)))
    assert compared([*still, *lamp], ["still-0.mp4", "lamp-0.mp4"]) == []


def test_a_cut_to_the_same_camera_is_not_the_same_video() -> None:
    """The difference over a cut between two scenes is large, and alike wherever these scenes follow each other."""
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 255, (2, PIXELS))

    def video() -> np.ndarray:
        frames = np.concatenate([np.tile(one, (16, 1)), np.tile(other, (16, 1))])
        walks = 60 * (rng.uniform(0, 1, frames.shape) > 0.95)
        return np.clip(frames + walks, 0, 255).astype(np.uint8)

    assert same_pictures({"a": video(), "b": video()}, {"a": 8.0, "b": 8.0}, ["b"]) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(0, 30), st.floats(0.5, 1.5), st.integers(-20, 20))
def test_a_part_has_the_place_that_it_was_put_at(seed: int, count: int, place: int, gain: float, offset: int) -> None:
    rng = np.random.default_rng(seed)
    whole = rng.integers(60, 120, (100, PIXELS)).astype(np.float64)
    part = np.clip(whole[place : place + count] * gain + offset, 0, 255)
    before = rng.integers(60, 120, (7, PIXELS))
    samples = {"whole": whole.astype(np.uint8), "part": np.concatenate([before, part]).astype(np.uint8)}
    (found,) = same_pictures(samples, {"whole": 25.0, "part": (count + 7) / 4}, ["part"])
    assert (found.how, found.at[0] - found.at[1]) == ("part", (place - 7) / 4)
    # A window holds eight differences over two samples; one that touches what is not shared matches in part.
    assert found.seconds == pytest.approx((count - 2) / 4, abs=1.01)


def test_correlations_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    a, b = (copies._windows(rng.integers(0, 255, (k, PIXELS)).astype(np.uint8)) for k in (20, 15))
    products = a.changes.astype(np.float32) @ b.changes.T.astype(np.float32)
    found = copies._correlation(copies._diagonals(products), a.energy, b.energy)
    w = copies.WINDOW
    for i, j in ((0, 0), (3, 2), (10, 5)):
        x, y = (part.ravel().astype(np.float64) for part in (a.changes[i : i + w], b.changes[j : j + w]))
        assert found[i, j] == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)), abs=1e-3)
    assert found.shape == (20 - 2 - w + 1, 15 - 2 - w + 1)


def test_samples_are_the_nearest_frames(tmp_path) -> None:
    path = write_clip(tmp_path / "a.mp4", 29, size=(64, 48), rate=10)
    with VideoReader(path) as video:
        found = sampled(video, 2.0)
    with VideoReader(path) as video:
        frames = list(video)
    wanted = [min(frames, key=lambda frame: (abs(frame.time - k * STEP), -frame.time)) for k in range(8)]
    assert (found == [frame.array(SAMPLE, "gray").ravel() for frame in wanted]).all()
    assert found.shape == (8, PIXELS)
    assert sampled(iter(frames), 0).shape == (0, PIXELS)
    assert len(sampled(iter(frames), 30.0)) == 12  # 2.8 s: 0 … 2.75


def test_a_jump_in_time_fills_no_more_than_was_asked_for() -> None:
    image = np.zeros((12, 16, 3), np.uint8)
    frames = list(Frame.of_arrays([image, image], STEP / 1_000_000))  # the second comes after months
    assert len(sampled(frames, 3.0)) == 12


def test_the_same_bytes_are_found_whatever_they_are_called(tmp_path) -> None:
    rng = np.random.default_rng(0)
    content = rng.bytes(300_000)
    # Of the same size and with the same beginning, middle and end, but not the same.
    other = bytearray(content)
    other[80_000] ^= 1
    files = {"a": content, "b": content[:-1], "c": content, "d": bytes(other), "e": bytes(other), "f": content}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = same_bytes([(name, tmp_path / name) for name in [*files, "gone"]])
    assert {(one.a, one.b) for one in found} == {("a", "c"), ("a", "f"), ("d", "e")}
    assert {one.how for one in found} == {"bytes"}


@pytest.mark.real
@pytest.mark.skipif(not PED2.is_dir(), reason="the footage of ucsd-ped2 is not here")
def test_real_clips_of_one_fixed_camera_are_told_apart_and_a_copy_is_found(tmp_path) -> None:
    paths = sorted(PED2.rglob("*.mp4"))
    with VideoReader(paths[3]) as video:
        images = [frame.array((240, 160)) for frame in video][::2]
        rate = video.info.rate / 2
    copy = write_clip(tmp_path / "copy.avi", images, rate=rate, codec="mpeg4", b="300000")
    assert [(one.a, one.b, one.how) for one in compared([*paths, copy], ["copy.avi"])] == [
        (paths[3].name, "copy.avi", "pictures")
    ]
