"""Feature files of public releases, read in place: names, shapes, lists, and what is refused."""

import json
import os
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsvad.cli.main import main
from wsvad.datasets.bags import PassportCheck, load_bags, longest, pack
from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import WsvadError
from wsvad.evaluation import measure as measuring
from wsvad.features.official import OfficialStream
from wsvad.features.segments import bin_average
from wsvad.features.source import Store, named_places, open_features, released
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.mil import Mil
from wsvad.runs.model import TrainedMethod, save_method
from wsvad.runs.normalisation import Normalisation


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def put(path: Path, array: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return array


def videos(*names: str) -> list[LabelledVideo]:
    return [LabelledVideo(name=n, label=i % 2, category=n, split="train") for i, n in enumerate(names)]


def loaded(folder: Path, *names: str, streams=("rgb",)):
    return [{k: v.numpy() for k, v in bag.streams.items()} for bag in load_bags(videos(*names), folder, streams)]


@pytest.mark.parametrize("joint", ["__", "_"])
def test_crop_files_are_stacked_in_the_order_of_their_numbers(tmp_path, joint):
    crops = [put(tmp_path / "RGB" / f"Abuse001_x264{joint}{c}.npy", random(7, 3, seed=c)) for c in range(10)]
    (bag,) = load_bags(videos("Abuse001_x264"), tmp_path, ["rgb"])
    np.testing.assert_array_equal(bag.streams["rgb"].numpy(), np.stack(crops))
    assert (bag.frames, bag.stride, bag.snippets) == (112, 16, 7)
    assert open_features(tmp_path).shape("Abuse001_x264", "rgb") == (10, 7, 3)
    assert longest(videos("Abuse001_x264"), tmp_path, "rgb") == 7


def test_crops_may_count_from_one(tmp_path):
    crops = [put(tmp_path / f"a__{crop}.npy", random(7, 3, seed=crop)) for crop in range(1, 11)]
    np.testing.assert_array_equal(loaded(tmp_path, "a")[0]["rgb"], np.stack(crops))
    assert OfficialStream(tmp_path, "rgb").names() == ["a"]


@pytest.mark.parametrize(("joint", "backbone"), [("__", ""), ("_", ""), ("__", "_i3d")])
def test_the_first_crop_may_have_no_number(tmp_path, joint, backbone):
    """`Abuse028_x264.npy, Abuse028_x264__1.npy … __9.npy` are ten crops, of which nine were dropped once."""
    stems = [f"Abuse028_x264{backbone}{f'{joint}{crop}' if crop else ''}" for crop in range(10)]
    crops = [put(tmp_path / f"{stem}.npy", random(7, 3, seed=seed)) for seed, stem in enumerate(stems)]
    (one,) = loaded(tmp_path, "Abuse028_x264")
    np.testing.assert_array_equal(one["rgb"], np.stack(crops))
    assert OfficialStream(tmp_path, "rgb").names() == ["Abuse028_x264"]


def test_a_whole_beside_its_crops_is_not_chosen_in_silence(tmp_path):
    for stem in ("a", "a__0", "a__1"):
        put(tmp_path / f"{stem}.npy", random(4, 3))
    with pytest.raises(WsvadError, match=r"a.npy: a__0.npy is there as well; keep the one file, or the crops"):
        loaded(tmp_path, "a")


@pytest.mark.parametrize("tail", ["_swin", "_videomae", "_c3d", "_clip", "_I3D", "_vit", "__rgb", ".mp4"])
def test_what_stands_behind_a_name_is_no_part_of_it(tmp_path, tail):
    array = put(tmp_path / f"Abuse028_x264{tail}.npy", random(7, 3))
    np.testing.assert_array_equal(loaded(tmp_path, "Abuse/Abuse028_x264.mp4")[0]["rgb"], array)
    own = put(tmp_path / "my_clip.npy", random(6, 3))  # a video may be called so itself
    put(tmp_path / "my.npy", random(5, 3))
    np.testing.assert_array_equal(loaded(tmp_path, "my_clip.mp4")[0]["rgb"], own)


def test_the_list_of_feature_files_is_a_place_for_features(tmp_path):
    array = put(tmp_path / "i3d" / "a_i3d.npy", random(7, 3))
    (tmp_path / "ucf-i3d.list").write_text("# made elsewhere.npy\n/home/x/i3d/a_i3d.npy\n")
    np.testing.assert_array_equal(loaded(tmp_path / "ucf-i3d.list", "a")[0]["rgb"], array)


@pytest.mark.parametrize("crops", [5, 10])
def test_one_array_with_crops_in_the_middle_or_in_front(tmp_path, crops):
    """A video as long as there are crops is read as the others are."""
    for place, axes in (("middle", (1, 0, 2)), ("front", (0, 1, 2))):
        first = random(crops, 7, 3)
        put(tmp_path / place / "b_i3d.npy", first.transpose(axes))
        square = random(crops, crops, 3, seed=1)
        put(tmp_path / place / "a_i3d.npy", square.transpose(axes))
        (one,), (two,) = loaded(tmp_path / place, "b"), loaded(tmp_path / place, "a")
        np.testing.assert_array_equal(one["rgb"], first)
        np.testing.assert_array_equal(two["rgb"], square)


def test_a_single_crop_is_no_crop_and_numbers_of_videos_are_not_crops(tmp_path):
    put(tmp_path / "Assault_1_i3d.npy", random(4, 1, 3))
    for number in (2, 3, 4):
        put(tmp_path / f"Assault_{number}.npy", random(4, 3, seed=number))
    source = open_features(tmp_path)
    assert source.shape("Assault_1", "rgb") == (4, 3)
    assert source.shape("Assault_3", "rgb") == (4, 3)
    assert not source.has("Assault", "rgb")


def test_audio_is_shared_by_five_crops_and_may_be_a_snippet_off(tmp_path):
    """XD-Violence: five crops of I3D beside one file of VGGish; a snippet too many or too few is mended (8.5)."""
    names = [f"v=x{n}__#1_label_A" for n in range(3)]
    for name, snippets in zip(names, (9, 8, 10), strict=True):
        for crop in range(5):
            put(tmp_path / "i3d" / f"{name}__{crop}.npy", random(9, 4, seed=crop))
        put(
            tmp_path / "vggish" / f"{name}__vggish.npy",
            np.arange(2.0 * snippets, dtype=np.float32).reshape(snippets, 2),
        )
    place = Path(f"rgb={tmp_path / 'i3d'},audio={tmp_path / 'vggish'}")
    bags = loaded(place, *names, streams=("rgb", "audio"))
    assert [bag["audio"].shape for bag in bags] == [(5, 9, 2)] * 3
    for crop in range(5):
        assert [bag["audio"][crop, :, 0].tolist()[-2:] for bag in bags] == [[14, 16], [14, 14], [14, 16]]
    packed = pack(videos(*names), place, ["rgb", "audio"], 4)
    assert packed.streams["rgb"].shape == (15, 4, 4)
    np.testing.assert_array_equal(packed.streams["audio"][4].numpy(), bin_average(bags[0]["audio"][0], 4))
    put(tmp_path / "vggish" / f"{names[0]}__vggish.npy", random(7, 2))
    with pytest.raises(
        WsvadError, match=r"the streams of v=x0__#1_label_A differ in length \(rgb 9, audio 7 snippets\)"
    ):
        loaded(place, *names, streams=("rgb", "audio"))


def test_text_of_tevad_lies_beside_our_own_store(tmp_path):
    put(tmp_path / "text" / "a_emb.npy", random(6, 5))
    passport = Passport(encoder="test", width=3, frames=90)
    save(feature_path(tmp_path, "rgb", "a"), StoredFeatures(features=random(6, 3), passport=passport))
    (bag,) = loaded(tmp_path, "a", streams=("rgb", "text"))
    put(tmp_path / "text" / "a_emb.npy", random(5, 5))  # the tail dropped, where our store keeps it
    assert [
        loaded(tmp_path, "a", streams=order)[0]["rgb"].shape[0] for order in (("rgb", "text"), ("text", "rgb"))
    ] == [6, 5]
    assert (bag["rgb"].shape, bag["text"].shape) == ((6, 3), (6, 5))
    assert released(tmp_path) == {"text"}
    assert isinstance(open_features(tmp_path / "rgb" / "none"), Store)


@pytest.mark.parametrize("given", ["folder", "list"])
def test_lists_of_vadclip_are_followed_from_another_machine(tmp_path, given):
    put(tmp_path / "UCFClip" / "Abuse" / "Abuse001_x264__0.npy", random(4, 3))
    put(tmp_path / "UCFClip" / "Abuse" / "Abuse001_x264__1.npy", random(4, 3, seed=1))
    text = "path,label\n" + "".join(f"/home/x/UCFClip/Abuse/Abuse001_x264__{c}.npy,Abuse\n" for c in range(2))
    (tmp_path / "ucf_CLIP_rgb.csv").write_text(text)
    place = tmp_path if given == "folder" else Path(f"rgb={tmp_path / 'ucf_CLIP_rgb.csv'}")
    assert loaded(place, "Abuse001_x264")[0]["rgb"].shape == (2, 4, 3)
    (tmp_path / "ucf_CLIP_rgb.csv").write_text(text + "/home/x/Gone__0.npy,Abuse\n")
    if given == "list":
        with pytest.raises(WsvadError, match=r"/home/x/Gone__0.npy is listed but does not exist, nor is it below"):
            loaded(place, "Abuse001_x264")


def test_lists_of_windows_and_other_text_in_the_folder(tmp_path):
    put(tmp_path / "far" / "UCF" / "a__0.npy", random(4, 3))
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "ucf.list").write_text("E:\\data\\UCF\\a__0.npy\n")
    (tmp_path / "near" / "notes.txt").write_bytes(b"caf\xe9 x.npy\n")
    (tmp_path / "near" / "UCF").symlink_to(tmp_path / "far" / "UCF")
    place = Path(f"rgb={tmp_path / 'near' / 'ucf.list'}")
    assert loaded(place, "a")[0]["rgb"].shape == (4, 3)
    assert loaded(tmp_path / "near", "a")[0]["rgb"].shape == (4, 3)  # and behind a link


def test_names_with_an_ending_or_a_folder_find_their_features(tmp_path):
    put(tmp_path / "a.npy", random(4, 3))
    put(tmp_path / "b.npy", random(4, 3))
    (tmp_path / "b.npy").rename(tmp_path / "b.NPY")
    for name in ("fight/a.mp4", "a.MP4", "b"):
        assert loaded(tmp_path, name)[0]["rgb"].shape == (4, 3)


def test_precision_is_kept_at_16_bits_and_brought_down_to_32(tmp_path):
    put(tmp_path / "a.npy", random(4, 3).astype(np.float16))
    put(tmp_path / "b.npy", random(4, 3).astype(np.float64))
    assert [bag["rgb"].dtype for bag in loaded(tmp_path, "a", "b")] == [np.float16, np.float32]


def test_an_evaluation_holds_one_bag_at_a_time(tmp_path, monkeypatch):
    """Ten crops of UCF-Crime's test videos are some gigabytes; two bags are the one scored and the one read next."""
    method = Mil({"rgb": 3}, Mil.config_class(hidden=(4, 2)))
    nothing = Normalisation(kinds={"rgb": "none"}, mean={}, std={})
    save_method(tmp_path / "run", TrainedMethod(name="mil", method=method, widths={"rgb": 3}, normalisation=nothing))
    for number in range(6):
        put(tmp_path / "i3d" / f"v{number}_i3d.npy", random(4 + number, 10, 3, seed=number))
    held, most, bags = weakref.WeakSet(), [], measuring.load_bags

    def watched(*arguments):
        for bag in bags(*arguments):
            held.add(bag.streams["rgb"])
            most.append(len(held))
            yield bag

    test = tuple(replace(video, split="test", intervals=()) for video in videos(*(f"v{n}" for n in range(6))))
    dataset = Dataset(name="d", videos=test)
    whole = measuring.measure(tmp_path / "run", dataset, tmp_path / "i3d").metrics
    monkeypatch.setattr(measuring, "load_bags", watched)
    assert measuring.measure(tmp_path / "run", dataset, tmp_path / "i3d").metrics == pytest.approx(whole, nan_ok=True)
    assert len(most) == 6 and max(most) <= 2


# --------------------------------------------------------------------------------------------------------- bad input


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(WsvadError, match=r"a.npy: not a feature array \(it holds pickled objects, not numbers\)"):
        loaded(tmp_path, "a")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (random(4), r"an array of shape \(4,\)"),
        (random(2, 3, 4, 5), r"an array of shape \(2, 3, 4, 5\)"),
        (random(0, 3), r"an array of shape \(0, 3\)"),
        (np.zeros((4, 3), np.int64), "int64; features are"),
        (np.array([[1.0, np.nan]], np.float32).T, "NaN or infinity in snippet 1"),
    ],
)
def test_arrays_that_are_no_features(tmp_path, array, says):
    put(tmp_path / "a.npy", array)
    with pytest.raises(WsvadError, match=says):
        loaded(tmp_path, "a")


def test_a_cut_file_a_missing_one_and_a_name_that_is_there_twice(tmp_path):
    put(tmp_path / "a.npy", random(4, 3))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    with pytest.raises(WsvadError, match=r"a.npy: not a feature array .*download or extract it again"):
        loaded(tmp_path, "a")
    with pytest.raises(WsvadError, match=r"b.npy: b has no rgb features; 'wsvad doctor' lists all that are missing$"):
        loaded(tmp_path, "b")
    (tmp_path / "a.npy").write_text("<!doctype html>")
    with pytest.raises(WsvadError, match=r"a.npy: an HTML page, which the server gave in place of the file"):
        loaded(tmp_path, "a")
    put(tmp_path / "x" / "c.npy", random(4, 3))
    put(tmp_path / "y" / "c.npy", random(4, 3))
    with pytest.raises(WsvadError, match=r"x/c.npy: the same name is at .*y/c.npy as well; keep one"):
        loaded(tmp_path, "c")


def test_crops_of_several_lengths_and_videos_with_other_crops_are_not_mixed(tmp_path):
    put(tmp_path / "a__0.npy", random(4, 3))
    put(tmp_path / "a__1.npy", random(5, 3))
    with pytest.raises(WsvadError, match=r"a__1.npy: \(5, 3\) where a__0.npy is \(4, 3\)"):
        loaded(tmp_path, "a")
    put(tmp_path / "a__1.npy", random(4, 3))
    put(tmp_path / "b__0.npy", random(4, 3))
    check = PassportCheck(tmp_path)
    with pytest.raises(WsvadError, match=r"b__0.npy: made differently from those of a \(settings.crops: 2 against 1"):
        list(load_bags(videos("a", "b"), tmp_path, ["rgb"], check))


def test_places_that_are_not_there(tmp_path):
    assert named_places(tmp_path) == {}
    with pytest.raises(WsvadError, match="there is no such folder or list of audio features"):
        open_features(Path(f"rgb={tmp_path},audio={tmp_path / 'x'}"))
    with pytest.raises(WsvadError, match="write STREAM=PLACE,STREAM=PLACE"):
        open_features(Path(f"rgb={tmp_path},audio"))
    (tmp_path / "list.csv").write_bytes(b"\x81\xfe")
    with pytest.raises(WsvadError, match="not a list of feature files"):
        OfficialStream(tmp_path / "list.csv", "rgb").has("a")


# ---------------------------------------------------------------------------------------------------------- one command


def test_fit_bench_and_evaluate_on_official_files_alone(tmp_path, capsys):
    """MSAD in miniature: lists, annotation, `(T, C, D)` features; whatever stands out in them is found."""
    rng = np.random.default_rng(0)
    names = {"train": [], "test": []}
    rows = ["name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"]
    for number in range(24):
        name = f"Fire_{number}" if number % 2 else f"MSAD_normal_{number}"
        features = rng.normal(size=(8, 10, 6)).astype(np.float32)
        if number % 2:
            features[2:5] += 3
            rows.append(f"{name},shop,{8 * 16 + number % 16},33,80")
        put(tmp_path / "i3d" / f"{name}_i3d.npy", features)
        names["train" if number < 16 else "test"].append(name)
    (tmp_path / "anomaly_annotation.csv").write_text("\n".join(rows))
    for split, listed in names.items():
        (tmp_path / f"MSAD_I3D_WS_{split.title()}.list").write_text("".join(f"x/{name}_i3d.npy\n" for name in listed))
    small = ["--iterations", "40", "--segments", "8", "--bags", "4", "--points", "1", "--normalise", "none"]
    data, out = f"msad:{tmp_path}", tmp_path / "out"
    features = ["--features", f"rgb={tmp_path / 'i3d'}"]
    assert main(["fit", data, *features, "--method", "mil", "--out", str(out / "fit"), *small]) == 0
    said = capsys.readouterr().err
    assert "not the official split" in said
    assert "msad: measured on 1,024, 192 abnormal (18.75 %); the nearest published is 143,920" in said
    assert main(["evaluate", str(out / "fit"), "--data", data, *features, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["auc"] > 0.95
    listed = tmp_path / "all.list"
    listed.write_text("".join(f"/home/x/i3d/{name}_i3d.npy\n" for name in (*names["train"], *names["test"])))
    assert main(["evaluate", str(out / "fit"), "--data", data, "--features", str(listed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == again
    assert main(["doctor", str(listed), "--data", data]) == 0
    assert "24 videos, 10 crops, 6 wide" in capsys.readouterr().out
    command = ["bench", "--data", data, *features, "--methods", "mil", "--out", str(out / "bench"), "--json"]
    assert main([*command, "--budget", "paper", *small]) == 0
    (last, *_) = json.loads(capsys.readouterr().out)["rows"]
    assert last["metrics"]["auc"]["mean"] == pytest.approx(again["auc"])
    told = json.loads((out / "bench" / "mil" / "model.json").read_text())
    assert told["encoders"] == {}  # no encoder of ours made these features
    assert told["passports"]["rgb"]["settings"] == {"crops": 10}


def test_files_that_macos_named_are_found(tmp_path):
    array = put(tmp_path / "rgb" / "cafe\u0301__0.npy", random(4, 3))
    np.testing.assert_array_equal(loaded(tmp_path, "caf\u00e9")[0]["rgb"], array)


@pytest.mark.parametrize("method", ["ur-dmu", "mil"])
def test_audio_is_said_to_be_left_out_or_read_beside_the_pictures(tmp_path, method, capsys):
    """What is abnormal is heard, not seen: with both streams it is found."""
    rng = np.random.default_rng(0)
    rows, truth = ["video,label,split,frames"], ["video,category,start_frame,end_frame"]
    for number in range(24):
        name, split = f"v{number}", "train" if number < 16 else "test"
        heard = rng.normal(size=(8, 4)).astype(np.float32)
        heard[2:5, 0] += 8 * (number % 2)
        put(tmp_path / "i3d" / f"{name}_i3d.npy", rng.normal(size=(8, 5, 6)).astype(np.float32))
        put(tmp_path / "vggish" / f"{name}__vggish.npy", heard)
        rows.append(f"{name},{number % 2},{split},128")
        truth += [f"{name},noise,32,80"] * (number % 2)
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "intervals.csv").write_text("\n".join(truth))
    place = f"rgb={tmp_path / 'i3d'},audio={tmp_path / 'vggish'}"
    small = ["--iterations", "60", "--segments", "8", "--bags", "8", "--points", "1"]
    size = ["--config.lr=0.01"] + (["--config.hidden=16", "--config.heads=2"] if method == "ur-dmu" else [])
    common = ["fit", str(tmp_path), "--features", place, "--method", method, *small, *size]
    assert main([*common, "--out", str(tmp_path / "seen")]) == 0
    said = capsys.readouterr().err
    assert (
        f"note: {method} does not read audio, which {place} has; --config.streams rgb,audio puts them side by" in said
    )
    assert main([*common, "--out", str(tmp_path / "both"), "--config.streams", "rgb,audio"]) == 0
    assert "does not read" not in capsys.readouterr().err
    found = {}
    for run in ("seen", "both"):
        given = ["evaluate", str(tmp_path / run), "--data", str(tmp_path), "--features", place, "--json"]
        assert main(given) == 0
        out, said = capsys.readouterr()
        assert (f"{method} did not learn from audio, which is not read" in said) == (run == "seen")
        found[run] = json.loads(out)["auc"]
    assert found["both"] > 0.9 > found["seen"]


def described(shape: str = "(3, 2)", dtype: str = "'<f4'", after: str = "") -> bytes:
    """A `.npy` file that says this of itself."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}{after}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)


def archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones((3, 2)))


def test_a_file_is_not_that_of_two_videos_in_two_folders(tmp_path):
    array = put(tmp_path / "door" / "0900.npy", random(4, 3))
    stream = OfficialStream(tmp_path, "rgb")
    for name in ("door/0900.mp4", "0900", "cams/door/0900.mp4"):
        np.testing.assert_array_equal(stream.load(name).features, array)
    with pytest.raises(WsvadError, match=r"0900\.npy: features of 'door/0900\.mp4', and of 'gate/0900\.mp4' as well"):
        stream.load("gate/0900.mp4")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "not a file that can be read"),
        (archive, r"not a feature array \(an archive of several arrays\)"),
        (lambda path: path.write_bytes(described("((3, 2)")), "not a feature array"),  # a bracket that never closes
        (lambda path: path.write_bytes(described("(" * 3000)), "not a feature array"),
        (lambda path: path.write_bytes(described(f"({2**62}, 4)")), "not a feature array"),
        (lambda path: path.write_bytes(described("(99, 99)")), "not a feature array"),
        (lambda path: path.write_bytes(described(dtype="'x'")), "not a feature array"),
        (lambda path: path.write_bytes(described(dtype="'|V4'")), "an array of shape"),
        (lambda path: path.write_bytes(described(dtype="'<i4'")), "an array of shape"),
        (lambda path: path.write_bytes(described("(0, 2)")), "an array of shape"),
    ],
)
def test_arrays_that_are_damaged_are_one_line(tmp_path, make, says):
    make(tmp_path / "a.npy")
    with pytest.raises(WsvadError, match=says) as caught:
        OfficialStream(tmp_path, "rgb").load("a")
    assert str(caught.value).startswith(f"{tmp_path / 'a.npy'}: ")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_numbers_too_large_for_single_precision_are_infinite(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 1e300]]))
    with pytest.raises(WsvadError, match="NaN or infinity in snippet 0"):
        OfficialStream(tmp_path, "rgb").load("a")


def test_a_folder_or_pipe_called_as_a_list_is_none(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    np.save(tmp_path / "a.npy", np.ones((3, 2), np.float32))
    assert OfficialStream(tmp_path, "rgb").load("a").features.shape == (3, 2)


@pytest.mark.parametrize(
    ("there", "video", "found"),
    [
        (["Abuse/Abuse001_x264.mp4"], "Abuse001_x264", "Abuse/Abuse001_x264.mp4"),
        (["Abuse/Abuse001_x264.mp4"], "Abuse/Abuse001_x264", "Abuse/Abuse001_x264.mp4"),
        (["Abuse001_x264.mp4"], "Abuse/Abuse001_x264", "Abuse001_x264.mp4"),
        (["x.mp4", "x"], "x", "x"),
        (["x.mp4", "x.avi"], "x", None),  # either may be meant
        (["gate/x.mp4", "door/x.mp4"], "x", None),
        (["gate/x.mp4", "door/x.mp4"], "gate/x", "gate/x.mp4"),
        (["gate/x.mp4"], "door/x.mp4", None),
        (["x.avi"], "x.mp4", None),
        (["x_1.mp4"], "x", None),
    ],
)
def test_features_of_our_own_are_found_by_the_names_of_official_lists(there, video, found, tmp_path):
    features = StoredFeatures(features=np.ones((1, 2), np.float32), passport=Passport(encoder="e", width=2, frames=16))
    for name in there:
        save(feature_path(tmp_path, "rgb", name), features)
    source = open_features(tmp_path)
    assert source.has(video, "rgb") == (found is not None)
    assert source.path(video, "rgb") == feature_path(tmp_path, "rgb", found or video)
