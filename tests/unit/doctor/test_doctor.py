"""The doctor: broken feature trees and their diagnoses, repairs, and two sets side by side.

Features come from a small random network that looks at simulated frames, so that exchanged colours or another range of
pixels change them as they would change a real network's.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file as save_tensors

import wsvad.doctor.doctor as doctor_module
from wsvad.cli.main import main
from wsvad.doctor.doctor import examine
from wsvad.doctor.lengths import check_lengths
from wsvad.features.official import OfficialStream
from wsvad.features.store import Passport, StoredFeatures, feature_path, save

WIDTH, CROPS = 24, 5
FRAMES = {f"clip{n:02d}": 16 * (6 + n * 3 % 11) + 1 + n * 5 % 15 for n in range(12)}
"""Video → F, no multiple of 16, so that every convention can be told from the others but `flow` from `floor`."""


def network(pixels: np.ndarray) -> np.ndarray:
    """`(…, 8)`: red, green, blue, and five of texture, in [0, 1] → `(…, WIDTH)`."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(8, 32)), rng.normal(size=(32, WIDTH))
    return (np.maximum(pixels @ first, 0) @ second).astype(np.float32)


def frames_of(number: int, snippets: int) -> np.ndarray:
    """`(C, T, 8)`: a scene that changes slowly, seen by crops that differ a little."""
    rng = np.random.default_rng(number)
    walk = 0.5 + 0.12 * np.cumsum(rng.normal(size=(1, snippets, 8)), axis=1)
    return np.clip(walk + 0.08 * rng.normal(size=(CROPS, 1, 8)) + 0.02 * rng.normal(size=(CROPS, snippets, 8)), 0, 1)


def make(
    folder: Path,
    rule: Callable[[int], int] = lambda frames: frames // 16,
    see: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels,
    after: Callable[[np.ndarray], np.ndarray] = lambda features: features,
) -> Path:
    """A released tree, a file a crop."""
    folder.mkdir(parents=True)
    for number, (video, frames) in enumerate(FRAMES.items()):
        features = after(network(see(frames_of(number, 20)[:, : max(rule(frames), 1)])))
        for crop, array in enumerate(features):
            np.save(folder / f"{video}__{crop}.npy", array)
    return folder


def change(folder: Path, how: Callable[[np.ndarray], np.ndarray], videos=tuple(FRAMES), crops=range(CROPS)) -> None:
    for video in videos:
        for crop in crops:
            path = folder / f"{video}__{crop}.npy"
            np.save(path, how(np.load(path)))


def diagnosis(folder: Path) -> dict[str, str]:
    """Kind → sentence, of what is not as it should be."""
    found = examine(OfficialStream(folder, "rgb"), "rgb", FRAMES).findings
    return {finding.kind: f"{finding.message} | {finding.remedy}" for finding in found if finding.level != "fine"}


def test_a_whole_tree_has_nothing_wrong_and_its_convention_is_named(tmp_path):
    folder = make(tmp_path / "a")
    assert diagnosis(folder) == {}
    (fine,) = examine(OfficialStream(folder, "rgb"), "rgb", FRAMES).findings
    assert (fine.kind, fine.level) == ("tail dropped", "fine")
    assert "⌊F/16⌋ in 12 of 12 videos (⌊(F−1)/16⌋ fits as well)" in fine.message


def nan(array):
    array = array.copy()
    array[3, 7] = np.nan
    return array


def pickled(folder):
    np.save(folder / "clip03__0.npy", np.array([{}], dtype=object), allow_pickle=True)


def copied(folder):
    for crop in range(CROPS):
        shutil.copy(folder / f"clip02__{crop}.npy", folder / f"clip04__{crop}.npy")


def twice(folder):
    (folder / "again").mkdir()
    shutil.copy(folder / "clip05__2.npy", folder / "again" / "clip05__2.npy")


BROKEN = {
    "tail padded": ({"rule": lambda f: -(-f // 16)}, None, "⌈F/16⌉ in 12 of 12 videos (⌊F/16⌋+1 fits as well)"),
    "frame rate": ({"rule": lambda f: round(f * 0.8 / 16)}, None, "as if 30 frames a second had been read at 2"),
    "off by one": ({}, lambda d: change(d, lambda a: a[:-1], ["clip07"]), "clip07: 15 snippets for 262 frames, where"),
    "length": ({}, lambda d: change(d, lambda a: a[:-4], ["clip07", "clip09"]), "clip07 (and 1 more of 12)"),
    "crop count": ({}, lambda d: (d / "clip03__4.npy").unlink(), "4 crops, most videos have 5; clip03"),
    "crop length": ({}, lambda d: change(d, lambda a: a[:-1], ["clip03"], [2]), "clip03__2.npy is (14, 24), clip03__0"),
    "transposed axes": ({}, lambda d: change(d, lambda a: a.T), "clip00__0.npy is (24, 6): features, 24 of them, are"),
    "dtype": ({}, lambda d: change(d, lambda a: (a * 9).astype(np.int16)), "int16, which are not floating-point"),
    "NaN": ({}, lambda d: change(d, nan, ["clip06"], [1]), "clip06__1.npy: NaN or infinity at [3, 7]; clip06"),
    "missing videos": (
        {},
        lambda d: [p.unlink() for p in d.glob("clip1*")],
        "no features of clip10 (and 1 more of 12)",
    ),
    "duplicate videos": ({}, twice, "clip05 is at"),
    "copied videos": ({}, copied, "clip04 has exactly the numbers of clip02"),
    "unreadable": ({}, pickled, "it holds pickled objects, not numbers"),
    "width": ({}, lambda d: change(d, lambda a: a[:, :20], ["clip08"]), "clip08__0.npy is 20 wide, most are 24"),
    "files of no video": ({}, lambda d: np.save(d / "extra.npy", np.ones((3, WIDTH), np.float32)), "extra.npy belongs"),
}
BESIDES = {"copied videos": {"length"}}
"""What else such a tree has: clip02 is longer than clip04."""


@pytest.mark.parametrize("kind", list(BROKEN))
def test_every_kind_of_broken_tree_has_its_diagnosis_and_no_other(tmp_path, kind):
    made, spoil, says = BROKEN[kind]
    folder = make(tmp_path / "a", **made)
    if spoil:
        spoil(folder)
    found = diagnosis(folder)
    assert set(found) - BESIDES.get(kind, set()) == {kind}
    assert says in found[kind]
    assert "\n" not in found[kind]
    assert not found[kind].endswith("| ")  # every one of them says what to do


def test_an_extra_clip_is_told_from_a_padded_tail():
    """The two part where F is a multiple of 16 (1056 frames → 67 clips)."""
    frames = {"01_047": 1056, "a": 100, "b": 37}
    for rule, kind in (
        (lambda f: f // 16 + 1, "extra clip"),
        (lambda f: -(-f // 16), "tail padded"),
        (lambda f: (f - 1) // 16, "frame lost"),
        (lambda f: f // 16, "tail dropped"),
    ):
        (finding,) = check_lengths({video: rule(n) for video, n in frames.items()}, frames)
        assert finding.kind == kind
    assert check_lengths({"a": 5}, {"a": None})[0].kind == "lengths unknown"
    mixed = check_lengths({f"v{i}": 3 * (i % 5 + 2) for i in range(9)}, {f"v{i}": 800 * (i % 2 + 1) for i in range(9)})
    assert mixed[0].kind == "length" and "follow no known convention" in mixed[0].message


@pytest.mark.parametrize("ratio", [0.5, 24 / 30, 25 / 30, 2.0])
def test_another_frame_rate_is_told_with_its_factor(ratio):
    frames = {f"v{i}": 700 + 97 * i for i in range(20)}
    (finding,) = check_lengths({video: int(n * ratio / 16) for video, n in frames.items()}, frames)
    assert finding.kind == "frame rate"
    told = float(finding.message.split("all lengths are ")[1].split(" times")[0])
    assert told == pytest.approx(ratio, abs=0.011)


@pytest.mark.parametrize("shape", ["TCD", "CTD", "TDC", "DT"])
def test_axes_are_understood_in_one_array_a_video(tmp_path, shape):
    order = {"TCD": (1, 0, 2), "CTD": (0, 1, 2), "TDC": (1, 2, 0)}.get(shape)
    for number, (video, frames) in enumerate(FRAMES.items()):
        features = network(frames_of(number, frames // 16))
        np.save(tmp_path / f"{video}_i3d.npy", features.transpose(order) if order else features[0].T)
    found = diagnosis(tmp_path)
    assert set(found) == (set() if shape in ("TCD", "CTD") else {"transposed axes"})


# ----------------------------------------------------------------------------------------------------------- two sets


def swap(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., [2, 1, 0, 3, 4, 5, 6, 7]]


PARTED = {
    "scale": ({"after": lambda f: f * 16}, "the numbers are 16 times the other set's"),
    "crop order": ({"after": lambda f: f[[1, 2, 0, 3, 4]]}, "crops 0, 1, 2 … of the other set are 2, 0, 1, 3, 4 here"),
    "colour order": ({"see": swap}, "the same network on the same frames, but not the same pixels"),
    "pixel range": ({"see": lambda p: 2.2 * p - 0.8}, "pixels in a different range"),
    "shift": ({"after": lambda f: np.roll(f, 1, axis=1)}, "snippet t of the other set is snippet t+1 here"),
    "normalised": ({"after": lambda f: f / np.linalg.norm(f, axis=-1, keepdims=True)}, "here have unit length"),
    "standardised": ({"after": lambda f: (f - 3) / np.linspace(1, 9, WIDTH, dtype=np.float32)}, "was standardised"),
    "unrelated": (
        {"see": lambda p: np.random.default_rng(p.shape[1]).random(p.shape)},
        "from another network or other videos",
    ),
    "crop count": ({"after": lambda f: f[:3]}, "3 crops, the other set has 5"),
    "lengths": (
        {"rule": lambda f: f // 16 - 1},
        "clip00: 5 snippets, in the other set 6; 12 of 12 videos are 1 shorter",
    ),
    "another network": ({"after": lambda f: f[..., :20]}, "20 wide, the other set 24"),
}


@pytest.mark.parametrize("kind", list(PARTED))
def test_two_sets_part_in_one_way_and_it_is_found(tmp_path, kind, capsys):
    made, says = PARTED[kind]
    a, b = make(tmp_path / "a"), make(tmp_path / "b", **made)
    assert main(["compare-features", str(a), str(b), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["rgb"]
    assert finding["kind"] == kind
    assert says in finding["message"]


def test_files_that_say_how_they_were_made_leave_nothing_to_guess(tmp_path, capsys):
    """Where the numbers are equal all the same, it does not matter."""
    a, b = make(tmp_path / "a"), make(tmp_path / "b", see=swap)
    ways = {"exact": (a, "exact"), "fast": (b, "fast"), "equal": (a, "fast")}
    for name, (released, decode) in ways.items():
        for video, frames in FRAMES.items():
            stack = np.stack([np.load(released / f"{video}__{crop}.npy") for crop in range(CROPS)])
            passport = Passport(encoder="test", width=WIDTH, frames=frames, decode=decode)
            save(feature_path(tmp_path / name, "rgb", video), StoredFeatures(features=stack, passport=passport))
    assert main(["compare-features", str(tmp_path / "exact"), str(tmp_path / "fast"), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["rgb"]
    assert (finding["kind"], finding["message"]) == (
        "settings", "made in another way than the other set: decode: fast against exact"
    )  # fmt: skip
    assert main(["compare-features", str(tmp_path / "exact"), str(tmp_path / "equal"), "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["rgb"]
    assert finding["kind"] == "same"


def test_nan_in_one_set_is_not_taken_for_a_difference_of_the_sets(tmp_path, capsys):
    a, b = make(tmp_path / "a"), make(tmp_path / "b")
    change(b, nan, ["clip06"], [1])
    data = listed(tmp_path / "data")
    assert main(["doctor", str(b), "--data", str(data), "--against", str(a), "--json"]) == 1
    assert [f["kind"] for f in json.loads(capsys.readouterr().out)["rgb"]] == ["NaN", "tail dropped", "same"]


def test_long_files_are_looked_at_in_parts(tmp_path, monkeypatch):
    a = make(tmp_path / "a")
    change(a, nan, ["clip06"], [1])
    before = examine(OfficialStream(a, "rgb"), "rgb", FRAMES)
    monkeypatch.setattr(doctor_module, "BLOCK", 200)
    after = examine(OfficialStream(a, "rgb"), "rgb", FRAMES)
    assert after.findings == before.findings and after.looks == before.looks


def test_equal_sets_are_the_same_also_in_half_precision_and_another_layout(tmp_path, capsys):
    a, b = make(tmp_path / "a"), make(tmp_path / "b", after=lambda f: f.astype(np.float16))
    (tmp_path / "c").mkdir()
    for video in FRAMES:
        crops = [np.load(a / f"{video}__{crop}.npy") for crop in range(CROPS)]
        np.save(tmp_path / "c" / f"{video}_i3d.npy", np.stack(crops, axis=1))
    for other, says in ((b, "equal, within"), (tmp_path / "c", "equal, to the last digit")):
        assert main(["compare-features", str(a), str(other)]) == 0
        assert says in capsys.readouterr().out


def test_released_files_beside_our_own_and_some_videos_of_another_release(tmp_path, capsys):
    a = make(tmp_path / "a")
    for video, frames in FRAMES.items():
        stack = np.stack([np.load(a / f"{video}__{crop}.npy") for crop in range(CROPS)])
        passport = Passport(encoder="test", width=WIDTH, frames=frames)
        save(feature_path(tmp_path / "ours", "rgb", video), StoredFeatures(features=stack, passport=passport))
    assert main(["compare-features", str(a), str(tmp_path / "ours")]) == 0
    capsys.readouterr()
    for video, frames in FRAMES.items():  # the tail is kept, which is no trouble for our own files
        passport = Passport(encoder="test", width=3, frames=frames)
        stored = StoredFeatures(features=np.full((-(-frames // 16), 3), frames, np.float32), passport=passport)
        save(feature_path(tmp_path / "kept", "pose", video), stored)
    assert main(["doctor", str(tmp_path / "kept"), "--data", str(listed(tmp_path / "data")), "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["pose"]
    assert (finding["kind"], finding["level"], finding["remedy"]) == ("tail padded", "fine", "")
    change(a, lambda x: x + 1, ["clip11"])
    (a / "clip00__0.npy").rename(a / "clip99__0.npy")
    for crop in range(1, CROPS):
        (a / f"clip00__{crop}.npy").unlink()
    capsys.readouterr()
    assert main(["compare-features", str(tmp_path / "ours"), str(a)]) == 1
    told = capsys.readouterr().out
    assert "some videos: the numbers of clip11 differ" in told
    assert "clip00 is in only one of the sets (2 such, 11 in both)" in told


# ------------------------------------------------------------------------------------------------ repair, command line


def listed(folder: Path) -> Path:
    """The dataset of the simulated videos."""
    rows = [f"{v},{n % 2},{f},{'test' if n > 7 else 'train'}" for n, (v, f) in enumerate(FRAMES.items())]
    folder.mkdir()
    (folder / "labels.csv").write_text("video,label,frames,split\n" + "\n".join(rows))
    return folder


def spoilt(kind: str, folder: Path) -> Path:
    made, spoil = (BROKEN | {k: (v[0], None) for k, v in PARTED.items()})[kind][:2]
    make(folder, **made)
    if spoil:
        spoil(folder)
    return folder


@pytest.mark.parametrize(
    "kind", ["tail padded", "off by one", "transposed axes", "NaN", "crop order", "scale", "dtype"]
)
def test_a_repaired_copy_is_whole_and_the_original_untouched(tmp_path, kind, capsys):
    good, bad, data = make(tmp_path / "good"), spoilt(kind, tmp_path / "bad"), listed(tmp_path / "data")
    before = {path: path.read_bytes() for path in bad.iterdir()}
    command = ["doctor", str(bad), "--data", str(data), "--repair", str(tmp_path / "mended")]
    against = ["--against", str(good)] if kind in PARTED else []
    assert main([*command, *against]) == (0 if kind == "tail padded" else 1)
    assert {path: path.read_bytes() for path in bad.iterdir()} == before
    said = capsys.readouterr().out
    assert f"{kind}: " in said
    assert f"repaired: {tmp_path / 'mended' / 'rgb'}: a copy of 12 videos; fixed: {kind}\n" in said
    mended = tmp_path / "mended" / "rgb"
    assert diagnosis(mended) == {}
    for path in good.iterdir():
        found, wanted = np.load(mended / path.name), np.load(path)
        if kind == "dtype":
            assert found.dtype == np.float32
        elif kind == "off by one" and path.name.startswith("clip07"):
            np.testing.assert_array_equal(found, wanted[[*range(15), 14]])
        elif kind == "NaN" and path.name == "clip06__1.npy":
            np.testing.assert_array_equal(found, wanted[[0, 1, 2, 2, *range(4, len(wanted))]])
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_command_tells_it_in_lines_and_as_json(tmp_path, capsys):
    bad, data = spoilt("off by one", tmp_path / "bad"), listed(tmp_path / "data")
    assert main(["doctor", str(bad), "--data", str(data)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rgb: 12 videos, 5 crops, 24 wide, float32"
    assert lines[1].startswith("  wrong  off by one: clip07")
    assert lines[2].startswith("         → --repair drops or repeats")
    assert main(["doctor", str(bad), "--data", str(data), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["rgb"]
    assert [(f["kind"], f["level"], f["videos"]) for f in told] == [
        ("tail dropped", "fine", []), ("off by one", "wrong", ["clip07"]),
    ]  # fmt: skip
    for path in bad.glob("clip0*"):
        path.unlink()
    assert main(["doctor", str(bad), "--data", str(data)]) == 1
    assert "missing videos" in capsys.readouterr().out
    for video in list(FRAMES)[8:10]:
        for crop in range(CROPS):
            np.save(bad / f"{video}__{crop}.npy", np.ones((FRAMES[video] // 16, WIDTH), np.float32) * FRAMES[video])
    assert main(["doctor", str(bad), "--data", str(data)]) == 0
    assert "features of all training videos are missing; only the test videos are checked" in capsys.readouterr().out


def test_what_cannot_be_done_is_one_line(tmp_path, capsys):
    good, data = make(tmp_path / "good"), listed(tmp_path / "data")

    def says(*command: str) -> str:
        assert main(list(command)) in (1, 2)
        return capsys.readouterr().err

    doctor = ("doctor", str(good), "--data", str(data), "--repair")
    assert "is inside the feature folder" in says(*doctor, str(good / "mended"))
    (tmp_path / "full" / "rgb").mkdir(parents=True)
    (tmp_path / "full" / "rgb" / "x").touch()
    assert "the folder is not empty; name a new one" in says(*doctor, str(tmp_path / "full"))
    assert "no features here, neither files of wsvad nor .npy files" in says("doctor", str(data), "--data", str(data))
    assert "compare-features: 1 sets; name two" in says("compare-features", str(good))
    passport = Passport(encoder="test", width=2, frames=96)
    save(feature_path(tmp_path / "ours", "pose", "clip00"), StoredFeatures(features=np.ones((6, 2)), passport=passport))
    assert "streams pose, but" in says("compare-features", str(good), str(tmp_path / "ours"))
    assert "extract it again instead of repairing it" in says(
        "doctor", str(tmp_path / "ours"), *doctor[2:], str(tmp_path / "m")
    )
    assert main(["compare-features", str(good), str(make(tmp_path / "x" / "rgb").parent)]) == 0
    for path in (tmp_path / "x" / "rgb").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    assert main(["compare-features", str(good), str(tmp_path / "x")]) == 1
    assert "the two sets have no video in common" in capsys.readouterr().out


def test_nothing_is_copied_where_nothing_can_be_mended(tmp_path, capsys):
    bad, data = spoilt("missing videos", tmp_path / "bad"), listed(tmp_path / "data")
    assert main(["doctor", str(bad), "--data", str(data), "--repair", str(tmp_path / "mended")]) == 1
    assert "not repaired: nothing here can be repaired; no copy was written" in capsys.readouterr().out
    assert not (tmp_path / "mended").exists()


def test_a_cut_video_is_not_made_longer_by_a_repair(tmp_path):
    bad, data = spoilt("tail padded", tmp_path / "bad"), listed(tmp_path / "data")
    change(bad, lambda a: a[:-5], ["clip09"])
    assert main(["doctor", str(bad), "--data", str(data), "--repair", str(tmp_path / "mended")]) == 1
    assert set(diagnosis(tmp_path / "mended" / "rgb")) == {"length"}
    assert len(np.load(tmp_path / "mended" / "rgb" / "clip09__0.npy")) == len(np.load(bad / "clip09__0.npy"))


def written(path: Path, features: torch.Tensor, **changes: object) -> None:
    passport = {"encoder": "x", "width": WIDTH, "frames": 160} | changes
    save_tensors({"features": features}, path, metadata={"passport": json.dumps(passport)})


OURS = {
    "integers": (lambda path: written(path, torch.ones(10, WIDTH, dtype=torch.uint16)), "dtype: b.mp4: uint16, which"),
    "no type of NumPy's": (
        lambda path: written(path, torch.ones(10, WIDTH, dtype=torch.bfloat16)),
        "unreadable: b.mp4: its features are numbers of type BF16",
    ),
    "another width": (
        lambda path: written(path, torch.ones(10, 7), width=7),
        "width: b.mp4.safetensors is 7 wide, most are 24; b.mp4",
    ),
    "a passport of others": (
        lambda path: written(path, torch.ones(10, 7)),
        "unreadable: b.mp4: features are 7 wide, their passport says 24",
    ),
    "another encoder": (
        lambda path: written(path, torch.ones(10, WIDTH), encoder="y"),
        "passports: b.mp4: made differently from a.mp4 (encoder: x against y); b.mp4",
    ),
    "no snippets": (lambda path: written(path, torch.ones(0, WIDTH)), "unreadable: b.mp4: features of shape (0, 24)"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-7]), "unreadable: b.mp4: broken feature file"),
    "crops": (lambda path: written(path, torch.ones(5, 10, WIDTH)), "crop count: b.mp4.safetensors: 5 crops, most"),
}


@pytest.mark.parametrize("kind", OURS)
def test_a_file_of_our_own_that_is_not_like_the_others_is_said_to_be_that(tmp_path, capsys, kind):
    """Of videos that are all equally long, where lengths do not tell which axis is which."""
    for name in "abcd":
        (tmp_path / "rgb").mkdir(exist_ok=True)
        numbers = np.random.default_rng(ord(name)).normal(size=(10, WIDTH))
        written(tmp_path / "rgb" / f"{name}.mp4.safetensors", torch.tensor(numbers, dtype=torch.float32))
    rows = "".join(f"{name}.mp4,{int(name > 'b')},160,train\n" for name in "abcd")
    (tmp_path / "labels.csv").write_text(f"video,label,frames,split\n{rows}")
    assert main(["doctor", str(tmp_path), "--data", str(tmp_path)]) == 0
    assert "lengths follow ⌊F/16⌋ in 4 of 4 videos" in capsys.readouterr().out
    spoil, says = OURS[kind]
    spoil(tmp_path / "rgb" / "b.mp4.safetensors")
    assert main(["doctor", str(tmp_path), "--data", str(tmp_path)]) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  wrong")]
    assert any(line.startswith(f"  wrong  {says}") for line in wrong)
    # Features of another width have a passport that says so.
    assert len(wrong) == 1 + (kind == "another width")


def test_a_lone_width_is_told_where_all_videos_are_equally_long(tmp_path):
    for name in "abcd":
        np.save(tmp_path / f"{name}.npy", np.ones((10, WIDTH - (name == "b")), np.float32) * ord(name))
    found = examine(OfficialStream(tmp_path, "rgb"), "rgb", dict.fromkeys("abcd", 160)).findings
    assert [finding.kind for finding in found if finding.level == "wrong"] == ["width"]


def test_integers_in_any_crop_are_told(tmp_path):
    folder = make(tmp_path / "a")
    change(folder, lambda array: (array * 9).astype(np.int16), ["clip03"], [2])
    assert "clip03: int16, which are not floating-point" in diagnosis(folder)["dtype"]


def test_what_cannot_be_compared_is_said(tmp_path, capsys):
    good, bad = make(tmp_path / "good"), make(tmp_path / "bad")
    change(bad, lambda array: array[:, :20], ["clip03"])
    change(bad, lambda array: array[:, :20], ["clip05"], [2])
    (bad / "clip07__0.npy").write_bytes(b"")
    assert main(["compare-features", str(good), str(bad)]) == 1
    told = capsys.readouterr().out
    assert "width: clip03__0.npy is 20 wide, most are 24" in told
    assert "crop length: clip05__2.npy is (" in told
    assert "unreadable: clip07: not a feature array" in told
    assert "same: the numbers are equal, to the last digit" in told
