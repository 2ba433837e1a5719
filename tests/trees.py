"""Fabricated folders of published datasets: official lists and annotations, right totals, narrow random features.

Each builder writes `folder/data` (annotation files, `frames.csv`) and returns the test videos: name → (F, intervals).
`write_features` writes features of those videos in an official layout.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

WIDTH = 4
Truth = dict[str, tuple[int, list[tuple[int, int]]]]

UCF_CLASSES = {
    "Abuse": (48, 2), "Arrest": (45, 5), "Arson": (41, 9), "Assault": (47, 3), "Burglary": (87, 13),
    "Explosion": (29, 21), "Fighting": (45, 5), "RoadAccidents": (127, 23), "Robbery": (145, 5),
    "Shooting": (27, 23), "Shoplifting": (29, 21), "Stealing": (95, 5), "Vandalism": (45, 5),
}  # fmt: skip


def plan(abnormal: list[str], normal: list[str], frames: int, positive: int, inside: int, seed: int) -> Truth:
    """Lengths and intervals whose sums are the wanted totals under the rule ⌊F/16⌋·16; every F is a little longer."""
    rng = np.random.default_rng(seed)

    def parts(total: int, count: int, least: int) -> np.ndarray:
        cuts = np.sort(rng.choice(np.arange(1, total - count * least + count), count - 1, replace=False))
        return np.diff(np.concatenate([[0], cuts, [total - count * least + count]])) - 1 + least

    snippets = parts(inside // 16, len(abnormal), 8)
    room = snippets * 16
    lengths = np.minimum(np.maximum((room * positive / room.sum()).astype(int), 1), room)
    for i in np.argsort(room)[::-1]:  # what rounding left over
        lengths[i] += min(positive - lengths.sum(), room[i] - lengths[i])
    truth: Truth = {}
    for name, m, length in zip(abnormal, snippets, lengths, strict=True):
        start = int(rng.integers(0, m * 16 - length + 1))
        truth[name] = (int(m * 16 + rng.integers(1, 16)), [(start, start + int(length))])
    for name, m in zip(normal, parts((frames - inside) // 16, len(normal), 2), strict=True):
        truth[name] = (int(m * 16 + rng.integers(1, 16)), [])
    return truth


def write_frames(folder: Path, truth: Truth) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "frames.csv").write_text("video,frames\n" + "".join(f"{n},{f}\n" for n, (f, _) in truth.items()))


def write_features(
    folder: Path, truth: Truth, layout: str, snippets: Callable[[int], int] = lambda f: f // 16, seed: int = 0
) -> None:
    """`layout` is `crops N` (name__0.npy …), `array N` (name_i3d.npy) or an ending such as `__vggish`."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    kind, _, count = layout.partition(" ")
    for name, (frames, _) in truth.items():
        m = snippets(frames)
        if kind == "crops":
            for crop in range(int(count)):
                np.save(folder / f"{name}__{crop}.npy", rng.normal(size=(m, WIDTH)).astype(np.float32))
        elif kind == "array":
            np.save(folder / f"{name}_i3d.npy", rng.normal(size=(m, int(count), WIDTH)).astype(np.float32))
        else:
            np.save(folder / f"{name}{layout}.npy", rng.normal(size=(m, WIDTH)).astype(np.float32))


def ucf_crime(folder: Path) -> Truth:
    """Totals of ⌊F/16⌋·16: 1,109,824 frames, 84,160 abnormal, 461,968 in abnormal videos."""
    test = [f"{c}{n:03d}_x264" for c, (_, count) in UCF_CLASSES.items() for n in range(1, count + 1)]
    train = [f"{c}/{c}{n:03d}_x264.mp4" for c, (count, _) in UCF_CLASSES.items() for n in range(101, count + 101)]
    train += [f"Training_Normal_Videos_Anomaly/Normal_Videos{n:03d}_x264.mp4" for n in range(1, 801)]
    normal = [f"Normal_Videos_{n:03d}_x264" for n in range(1001, 1151)]
    truth = plan(test, normal, 1_109_824, 84_160, 461_968, seed=1)
    data = folder / "data"
    write_frames(data, truth)
    (data / "Anomaly_Train.txt").write_text("\n".join(train) + "\n")
    rows = []
    for name, (_, intervals) in truth.items():
        category = "Normal" if not intervals else name.rstrip("_x264").rstrip("0123456789")
        numbers = [*(str(n) for pair in intervals for n in pair), "-1", "-1", "-1", "-1"][:4]
        rows.append(f"{name}.mp4  {category}  {'  '.join(numbers)}  ")
    (data / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(rows) + "\n")
    return truth


def xd_violence(folder: Path) -> Truth:
    """2,330,384 frames, 537,805 abnormal, 1,078,016 in abnormal videos; some names have a space, some three labels."""
    labels = ["B1-0-0", "B2-B6-G", "B4-0-0", "G-B2-0", "B5-0-0"]
    abnormal = [f"v=ab{n:03d}__#00-{n % 60:02d}-00_label_{labels[n % 5]}" for n in range(499)]
    abnormal.append("The Last Film 2001__#01-00-00_01-01-00_label_B6-0-0")
    normal = [f"v=no{n:03d}__#1_label_A" for n in range(300)]
    truth = plan(abnormal, normal, 2_330_384, 537_805, 1_078_016, seed=2)
    data = folder / "data"
    write_frames(data, truth)
    train = [f"v=ta{n:04d}__#1_label_{labels[n % 5]}" for n in range(1905)] + [
        f"v=tn{n:04d}__#1_label_A" for n in range(2049)
    ]
    for name, listed in (("rgb.list", train), ("rgb_test.list", list(truth))):
        (data / name).write_text("".join(f"/media/i3d/{v}__{c}.npy\n" for v in listed for c in range(5)))
    rows = []
    for name, (_, intervals) in truth.items():
        if intervals:
            (start, end), ending = intervals[0], ".mp4" if len(rows) % 9 == 0 else ""
            middle = (start + end) // 2  # two intervals that touch are one
            rows.append(f"{name}{ending} {start} {middle} {middle} {end}")
    (data / "annotations.txt").write_text("\n".join(rows) + "\n")
    return truth


def shanghaitech(folder: Path, frames: int = 142_912, positive: int = 8_028) -> Truth:
    abnormal = [f"{n % 13 + 1:02d}_{n:04d}" for n in range(1, 45)]
    normal = [f"{n % 13 + 1:02d}_{n:03d}" for n in range(1, 156)]
    truth = plan(abnormal, normal, frames, positive, 24_000, seed=3)
    data = folder / "data"
    write_frames(data, {name: truth[name] for name in normal})
    train = [f"{n % 13 + 1:02d}_{n:04d}" for n in range(101, 164)] + [
        f"{n % 13 + 1:02d}_{n:03d}" for n in range(301, 476)
    ]
    (data / "SHANGHAI_train.txt").write_text("".join(f"{name} 480 0\n" for name in train))
    (data / "shanghai-i3d-test-10crop.list").write_text("".join(f"/home/x/SH_Test/{name}_i3d.npy\n" for name in truth))
    (data / "test_frame_mask").mkdir(exist_ok=True)
    for name in abnormal:
        mask = np.zeros(truth[name][0], np.uint8)
        for start, end in truth[name][1]:
            mask[start:end] = 1
        np.save(data / "test_frame_mask" / f"{name}.npy", mask)
    return truth


def msad(folder: Path) -> Truth:
    """143,920 frames, 33,160 abnormal."""
    kinds = ["Assault", "Traffic_accident", "Fire", "Object_falling"]
    abnormal = [f"{kinds[n % 4]}_{n // 4 + 1}" for n in range(120)]
    normal = [f"MSAD_normal_testing_{n}" for n in range(1, 121)]
    truth = plan(abnormal, normal, 143_920, 33_160, 72_000, seed=4)
    data = folder / "data"
    write_frames(data, {name: truth[name] for name in normal})
    train = [f"{kinds[n % 4]}_{n // 4 + 101}" for n in range(120)] + [f"MSAD_normal_{n}" for n in range(1, 361)]
    for name, listed in (("MSAD_I3D_WS_Train.list", train), ("MSAD_I3D_WS_Test.list", list(truth))):
        (data / name).write_text("".join(f"D:\\MSAD\\{video}_i3d.npy\n" for video in listed))
    rows = ["name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"]
    rows += [f"{n},shop,{f},{a + 1},{b}" for n, (f, pairs) in truth.items() for a, b in pairs]
    (data / "anomaly_annotation.csv").write_text("\n".join(rows) + "\n")
    return truth


TREES: dict[str, tuple[Callable[[Path], Truth], str, str]] = {
    "ucf-crime": (ucf_crime, "crops 10", "1,109,824, 84,160 abnormal (7.58 %)"),
    "xd-violence": (xd_violence, "crops 5", "2,330,384, 537,805 abnormal (23.08 %)"),
    "shanghaitech": (shanghaitech, "array 10", "142,912, 8,028 abnormal (5.62 %)"),
    "msad": (msad, "array 10", "143,920, 33,160 abnormal (23.04 %)"),
}
"""Builder, layout of the features, and the totals that must be told."""
