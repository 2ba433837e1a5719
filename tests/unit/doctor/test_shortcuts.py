"""Whether a label can be told from what is not the event: which fact is named, and how often one is for nothing."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import scene, write_clip
from places import SHARED
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from wsvad.doctor import shortcuts as module
from wsvad.doctor.facts import Facts, facts_of
from wsvad.doctor.shortcuts import FOLDS, RIDGE, aucs, shortcuts
from wsvad.video.reader import VideoReader

VIDEOS = SHARED / "data" / "cctv-fights"
LABELS = np.tile([0, 1], 20)


def facts(number: int, rng: np.random.Generator, **changes: object) -> Facts:
    """A video that differs from others by chance alone."""
    own = Facts(
        size="320x240", rate="25.00", codec="h264", container="mov", sound="none", writer="Lavf60",
        seconds=float(rng.uniform(5, 50)), bits_per_second=float(rng.uniform(1e5, 2e5)), hour=None, camera=None,
        picture=rng.uniform(0, 1, 67),
    )  # fmt: skip
    return replace(own, **changes)


def by_label(seed: int = 0, **of_abnormal: object) -> list[Facts]:
    rng = np.random.default_rng(seed)
    return [facts(i, rng, **(of_abnormal if label else {})) for i, label in enumerate(LABELS)]


CAMERA = "a detector may learn the camera instead of the event"
FILES = "a detector may learn how the files were written instead of the event"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": "640x360"}, f"all 20 fight videos are 640x360 and all 20 normal ones 320x240 (AUC 100): {CAMERA}"),
        ({"rate": "30.00"}, f"all 20 fight videos are at 30 fps and all 20 normal ones at 25 fps (AUC 100): {CAMERA}"),
        (
            {"size": "640x360", "rate": "29.97", "codec": "hevc"},
            "all 20 fight videos are 640x360 at 29.97 fps, hevc and all 20 normal ones 320x240 at 25 fps, h264 "
            f"(AUC 100): {CAMERA}",
        ),
        ({"codec": "hevc"}, f"all 20 fight videos are hevc and all 20 normal ones h264 (AUC 100): {FILES}"),
        (
            {"container": "avi", "writer": "VidCoder"},
            "all 20 fight videos are in a container of type avi, written by VidCoder and all 20 normal ones in a "
            f"container of type mov, written by Lavf60 (AUC 100): {FILES}",
        ),
        ({"seconds": 3.0}, "the length of fight videos is 3.0 to 3.0 s (median 3.0 s), of normal ones "),
        ({"bits_per_second": 4e5}, "the bit rate of fight videos is 400 to 400 kbit/s (median 400 kbit/s), of normal"),
    ],
)
def test_the_facts_are_named_in_a_sentence(changes: dict[str, object], words: str) -> None:
    result = shortcuts(by_label(**changes), LABELS, words=("normal", "fight"))
    assert {one.fact for one in result.found} == set(changes)
    (caution,) = result.cautions
    assert caution.sentence.startswith(words)
    assert caution.facts == tuple(one.fact for one in result.found)
    assert all(one.auc == pytest.approx(1.0, abs=0.01) and one.p <= 0.003 for one in result.found)


def test_a_fact_that_a_part_of_a_class_has_is_counted() -> None:
    each = by_label(size="640x360")
    each[1] = replace(each[1], size="320x240")
    (caution,) = shortcuts(each, LABELS).cautions
    assert caution.sentence.startswith("19 of 20 abnormal videos are 640x360 and all 20 normal ones 320x240")
    assert caution.remedy == "add normal footage of the same camera"
    mostly = [replace(one, size="320x240") if i % 4 == 1 else one for i, one in enumerate(by_label())]
    mostly = [replace(one, sound="aac") if i % 2 == 0 and i > 8 else one for i, one in enumerate(mostly)]
    assert (
        shortcuts(mostly, LABELS)
        .cautions[0]
        .sentence.startswith("all 20 abnormal videos are without sound and 15 of 20 normal ones with aac sound")
    )


def test_a_rate_that_each_video_has_of_its_own_is_a_number() -> None:
    each = [
        replace(one, rate=f"{(29 if label else 24) + i / 100:.2f}")
        for i, (one, label) in enumerate(zip(by_label(), LABELS, strict=True))
    ]
    assert [one.fact for one in shortcuts(each, LABELS).found] == ["rate"]


def test_another_scene_is_named() -> None:
    rng = np.random.default_rng(0)
    street, yard = rng.uniform(0, 1, (2, 67))
    each = [
        replace(one, picture=np.clip((yard if label else street) + rng.normal(0, 0.1, 67), 0, 1))
        for one, label in zip(by_label(), LABELS, strict=True)
    ]
    (caution,) = shortcuts(each, LABELS).cautions
    assert caution.facts == ("picture",)
    assert caution.sentence.startswith("the first picture alone separates abnormal from normal videos (AUC")
    assert caution.remedy == "add normal footage of the same scenes, cameras and light"


def test_very_short_and_very_long_videos_of_one_class_are_seen() -> None:
    each = [
        replace(one, seconds=20.0 + i / 100 if label else (2.0 if i % 4 else 90.0) + i / 100)
        for i, (one, label) in enumerate(zip(by_label(), LABELS, strict=True))
    ]
    assert [one.fact for one in shortcuts(each, LABELS).found] == ["seconds"]


def test_hours_and_cameras_count_where_all_are_known() -> None:
    night = [replace(one, hour=2 if label else 14) for one, label in zip(by_label(), LABELS, strict=True)]
    assert [one.fact for one in shortcuts(night, LABELS).found] == ["hour"]
    assert "hour" not in shortcuts([replace(night[0], hour=None), *night[1:]], LABELS).tried


def test_hours_are_a_circle() -> None:
    """23 and 1 are near each other, and far from 12."""
    each = [
        replace(one, hour=(23 if i % 3 else 1) if label else (11 if i % 3 else 13))
        for i, (one, label) in enumerate(zip(by_label(), LABELS, strict=True))
    ]
    (found,) = shortcuts(each, LABELS).found
    assert (found.fact, found.auc) == ("hour", pytest.approx(1.0))


def test_labels_that_have_nothing_to_do_with_it_give_uniform_p_values(monkeypatch) -> None:
    monkeypatch.setattr(module, "PERMUTATIONS", 199)
    each, rng = by_label(), np.random.default_rng(1)
    found = [shortcuts(each, rng.permutation(LABELS), seed=i) for i in range(60)]
    p = np.sort([one.p for one in found])
    # Kolmogorov and Smirnov, at 1 %: 1.63 / √60.
    assert np.abs(p - (np.arange(60) + 0.5) / 60).max() < 1.63 / np.sqrt(60)
    assert sum(bool(one.found) for one in found) <= 2


def test_too_few_videos_or_none_that_differ_say_nothing() -> None:
    few = shortcuts(by_label(size="640x360")[:6], LABELS[:6])
    assert (few.found, few.p) == ((), 1.0)
    rng = np.random.default_rng(0)
    same = facts(0, rng)
    assert shortcuts([same] * 40, LABELS).tried == ()
    assert shortcuts([], []).p == 1.0


def test_the_auc_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    told, y = rng.integers(0, 5, (30, 7)).astype(float), rng.integers(0, 2, (30, 7))
    assert aucs(told, y) == pytest.approx([roc_auc_score(y[:, i], told[:, i]) for i in range(7)])

    each = by_label(seed=3)
    x = np.stack([one.picture for one in each])
    fold = np.random.default_rng(5).permutation(np.arange(40) % FOLDS)
    guess = np.empty(40)
    for k in range(FOLDS):
        out = fold == k
        mean, std = x[~out].mean(0), x[~out].std(0)
        guess[out] = Ridge(RIDGE).fit((x[~out] - mean) / std, LABELS[~out]).predict((x[out] - mean) / std)
    only = [replace(one, seconds=None, bits_per_second=None, size="1x1") for one in each]
    assert shortcuts(only, LABELS, seed=5).tried == ("picture",)
    assert module._told(x, fold, LABELS[:, None].astype(float))[:, 0] == pytest.approx(guess, abs=1e-6)


def test_facts_are_read_from_the_file(tmp_path: Path) -> None:
    images = [scene(i, True, np.random.default_rng(i)) for i in range(50)]
    path = write_clip(tmp_path / "gate_20240115_223000.mp4", images, rate=25)
    found = facts_of(path, path.name)
    assert (found.size, found.rate, found.codec, found.sound, found.hour) == ("128x96", "25.00", "h264", "none", 22)
    assert found.seconds == pytest.approx(2.0, abs=0.05)
    assert found.bits_per_second == pytest.approx(8 * path.stat().st_size / 2.0, rel=0.03)
    assert found.picture.shape == (67,)
    assert found.picture[64:].mean() == pytest.approx(images[0].mean() / 255, abs=0.02)


@pytest.mark.real
@pytest.mark.skipif(not VIDEOS.is_dir(), reason="the footage of cctv-fights is not here")
@pytest.mark.parametrize("change", ["size", "rate", "codec"])
def test_a_class_that_was_encoded_anew_is_seen(change: str, tmp_path: Path) -> None:
    rows = list(csv.DictReader((VIDEOS / "labels.csv").open()))
    rows = [row for label in ("0", "1") for row in [r for r in rows if r["label"] == label][:10]]
    each, labels = [], []
    for row in rows:
        path = VIDEOS / "videos" / row["video"]
        if row["label"] == "1":
            with VideoReader(path, threads=1) as video:
                size = (160, 120) if change == "size" else (video.info.width, video.info.height)
                images = [frame.array(size) for _, frame in zip(range(20), video, strict=False)]
                rate = 30 if change == "rate" else video.info.rate
            codec = "mpeg4" if change == "codec" else "libx264"
            path = write_clip(tmp_path / row["video"], images, rate=rate, codec=codec)
        each.append(facts_of(path, row["video"]))
        labels.append(row["label"] == "1")
    assert change in [one.fact for one in shortcuts(each, labels).found]
