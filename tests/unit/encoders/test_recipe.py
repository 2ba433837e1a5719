"""Recipes: read, checked, found, and as good as a file beside the weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from published_weights import write_weights
from small_networks import write_constant
from tiny_models import save

from wsvad.cli.main import main
from wsvad.encoders import ENCODERS, build
from wsvad.encoders.build import inputs_of, recipe_of, recipes, resolve, shortened
from wsvad.encoders.recipe import OURS, Head, settings_of
from wsvad.errors import UsageError, WsvadError
from wsvad.video.clock import SNIPPET

HEAD = "licence: MIT\nwhy: a test\n"


def write(path: Path, model: str, text: str = "") -> str:
    """A recipe, as it is typed."""
    path.write_text(f"model: {model}\n{HEAD}{text}")
    return f"recipe:{path}"


def image_network(path: Path) -> Path:
    return write_constant(path, {"y": np.ones((1, 3, 2, 2)), "z": np.ones((1, 5))}, shape=(1, 3, 4, 6), of=1)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own models."""
    monkeypatch.setenv("WSVAD_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


BESIDE: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "onnx": (image_network, "net.onnx", "output: z\npooling: mean\nframes: 2\nmean: [0.1, 0.2, 0.3]\n"),
    "i3d": (lambda path: write_weights(path, "i3d"), "i3d.safetensors", "resize: [40, 36]\ncrop: 32\ncrops: 5\n"),
    "raft": (
        lambda path: write_weights(path, "raft"),
        "raft.safetensors",
        "output: state\nsize: [128, 128]\niterations: 1\nframes: 1\n",
    ),
}
"""Networks, and settings that are not the usual ones."""


@pytest.mark.parametrize("scheme", BESIDE)
def test_a_recipe_is_what_a_file_beside_the_weights_is(scheme: str, tmp_path: Path):
    make, name, text = BESIDE[scheme]
    for folder in ("beside", "recipe"):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder / name)
    (tmp_path / "beside" / f"{name}.yaml").write_text(text)
    (theirs,) = build(f"{scheme}:{tmp_path / 'beside' / name}")
    (usual,) = build(f"{scheme}:{tmp_path / 'recipe' / name}")
    (ours,) = build(write(tmp_path / "recipe" / "own.yaml", f"{scheme}:{name}", text + f"width: {theirs.width}\n"))
    assert ours.passport() == theirs.passport() != usual.passport()
    width, height = ours.sampling.size or (40, 36)
    snippet = np.random.default_rng(0).integers(0, 256, (ours.sampling.count, height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(ours.encode([snippet]), theirs.encode([snippet]))


def test_a_passport_says_nothing_of_the_recipe_itself(tmp_path: Path):
    save("clip", tmp_path / "clip")
    one = build(write(tmp_path / "one.yaml", "hf:clip", "frames: 8"))[0].passport()
    two = tmp_path / "two.yaml"
    two.write_text("model: hf:clip\nlicence: other\nwhy: another\nstream: text\nwidth: 16\nget: somewhere\nframes: 8")
    assert build(f"recipe:{two}")[0].passport() == one
    assert build(write(tmp_path / "three.yaml", "hf:clip", "frames: 4"))[0].passport() != one


def test_a_recipe_may_need_no_weights(tmp_path: Path):
    spec = write(tmp_path / "a.yaml", "motion")
    assert build(spec)[0].passport() == build("motion")[0].passport()
    assert resolve(spec) == (spec, None)
    with pytest.raises(UsageError, match=r"motion needs no weights; leave x\.pt out"):
        build(f"{spec}:x.pt")


def test_weights_are_found_beside_the_recipe_then_in_the_models_folder_then_in_the_cache(tmp_path: Path):
    spec = write(tmp_path / "a.yaml", "hf:org/clip")
    assert resolve(spec) == (spec, None)  # not there yet, which may matter to nobody
    snapshot = tmp_path / "cache" / "models--org--clip" / "snapshots" / ("0" * 40)
    for place in (snapshot, tmp_path / "models" / "org" / "clip", tmp_path / "org" / "clip"):
        place.parent.mkdir(parents=True)
        save("clip", place, seed=len(str(place)))
        resolved, _ = resolve(spec)
        assert resolved == f"{spec}:{place}"
        assert build(spec)[0].passport() == build(resolved)[0].passport() == build(f"hf:{place}")[0].passport()
        assert resolve(resolved)[0] == resolved
    assert shortened(resolved) == "recipe:a.yaml:org/clip"
    assert resolve("recipe:a.yaml:cache") == (f"{spec}:{tmp_path / 'cache'}", None)


def test_nothing_is_taken_from_the_folder_where_the_command_is_typed(tmp_path: Path):
    save("clip", tmp_path / "openai" / "clip-vit-base-patch16")
    with pytest.raises(WsvadError, match="openai/clip-vit-base-patch16: not in"):
        build("recipe:clip-b16")


def test_a_stream_of_sound_is_known_to_be_one(tmp_path: Path):
    assert inputs_of("recipe:pi-vad-audio") == {"sound"}
    assert inputs_of("recipe:clip-b16+motion") == {"video"}
    with pytest.raises(UsageError, match="one encoder reads sound and another video"):
        resolve("recipe:pi-vad-audio+motion")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: hf:clip\nlicence: MIT\nwhy: x\npoolling: mean", "'poolling' is not known; did you mean pooling?"),
        ("model: hf:clip\nlicense: MIT\nwhy: x", "'license' is not known; did you mean licence?"),
        ("model: hf:clip\nlicence: MIT\nwhy: x\ncrops: 10", "'crops' is not known"),
        ("model: i3d:a.pt\nlicence: MIT\nwhy: x\ncrops: 3", "crops is 3 instead of 1 or 5 or 10"),
        ("model: hf:clip\nlicence: MIT\nwhy: x\nframes: 17", "frames is 17 instead of from 1 to 16"),
        ("model: hf:clip\nlicence: MIT\nwhy: x\nwidth: 0", "width is 0 instead of at least 1"),
        ("model: hf:clip\nlicence: MIT\nwhy: x\nstream: a/b", "stream is 'a/b' instead of the name of a stream"),
        ("model: hf:clip\nlicence: MIT\nwhy: |\n  x\n  y", "instead of one line of text"),
        ("model: hf:clip\nlicence: 3\nwhy: x", "licence is 3 instead of text"),
        ("model: hf:clip\nwhy: x", "'licence' is missing"),
        ("licence: MIT\nwhy: x", "'model' is missing; write an encoder, as in 'model: hf:ORG/NAME'"),
        ("model: [hf, clip]\nlicence: MIT\nwhy: x", "'model' is missing"),
        ("model: recipe:clip-b16\nlicence: MIT\nwhy: x", "another recipe; copy its lines instead"),
        ("model: lsa:captions.jsonl\nlicence: MIT\nwhy: x", "which reads captions; a recipe is for video or sound"),
        ("model: auto\nlicence: MIT\nwhy: x", "no encoder is called 'auto'"),
        ("model: |\n  flow\nlicence: MIT\nwhy: x", r"no encoder is called 'flow\\n'"),
        ("model: motion+flow\nlicence: MIT\nwhy: x", "no encoder is called 'motion\\+flow'"),
        ("model: hf\nlicence: MIT\nwhy: x", "write hf:NAME_OR_FOLDER"),
        ("model: motion:fast\nlicence: MIT\nwhy: x", "'model' is motion:fast; write motion"),
        ("model: motion\nlicence: MIT\nwhy: x\nframes: 3", "'frames' is not known"),
        ("model: audio:vggish.pth\nlicence: MIT\nwhy: x\nrate: 8000", "'rate' is not known"),
        ("model: hf:clip\nlicence: MIT\nwhy: x\n1: 2", "'1' is not known"),
        ("", "'model' is missing"),
        ("- 1", "'model' is missing"),
        ("model: hf:clip\nlicence: MIT\nwhy: a: b", "mapping values are not allowed here"),
        ("[" * 1000, "write lines 'field: value'"),
        (BOMB, "more values than a setting has"),
        ("model: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("#" * 2**14 + "\nmodel: motion", "not a file of at most 16,384 bytes"),
    ],
)
def test_a_wrong_recipe_is_one_line_that_names_it(text: str, said: str, tmp_path: Path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(WsvadError, match=said) as caught:
        resolve("recipe:own.yaml")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("recipe:clip-b61", "no recipe is called 'clip-b61'; did you mean clip-b16?"),
        ("recipe:../../etc/passwd", "no recipe is called '../../etc/passwd'; a file ends in .yaml, and ours are: clip"),
        ("recipe:a/b/c.yaml", r"a/b/c\.yaml: there is no such recipe"),
        ("recipe:../clip-b16", "no recipe is called"),
        ("recipe:x\n.yaml", "there is no such recipe"),
    ],
)
def test_a_recipe_that_there_is_not(typed: str, said: str):
    with pytest.raises(WsvadError, match=said):
        resolve(typed)


def test_a_recipe_has_to_be_named():
    with pytest.raises(UsageError, match="write recipe:NAME_OR_FILE"):
        build("recipe")


def test_weights_that_are_missing_wrong_or_of_another_width_are_named_with_the_remedy(tmp_path: Path):
    with pytest.raises(WsvadError, match=r"recipe clip-b16: .*to get them: wsvad encoders --get openai/clip-vit"):
        build("recipe:clip-b16")
    with pytest.raises(
        WsvadError, match=r"model_rgb\.pth: not in .*models.*; to get them: https://.*recipe:i3d-1024:F"
    ):
        build("recipe:i3d-1024")
    with pytest.raises(WsvadError, match="nothing: there is no such file or folder"):
        build("recipe:i3d-1024:nothing")
    save("clip", tmp_path / "clip")
    with pytest.raises(WsvadError, match=r"recipe clip-b16: 'width' is 512, but .*clip gives 16 numbers"):
        build("recipe:clip-b16:clip")
    (tmp_path / "a.pth").write_bytes(b"no weights")
    with pytest.raises(WsvadError, match=r"recipe i3d-1024: .*a\.pth"):
        build("recipe:i3d-1024:a.pth")


def test_a_tap_that_there_is_not_is_said_by_the_recipe(tmp_path: Path):
    save("clip", tmp_path / "clip")
    own = write(tmp_path / "own.yaml", "hf:clip", "tap: vision_model.encoder.layers.7")
    with pytest.raises(
        UsageError, match=r"own\.yaml: tap 'vision_model\.encoder\.layers\.7'.* near ones are"
    ) as caught:
        build(own)
    assert "layers.1" in str(caught.value)
    image_network(tmp_path / "net.onnx")
    own = write(tmp_path / "own.yaml", "onnx:net.onnx", "output: w")
    with pytest.raises(WsvadError, match=r"own\.yaml: .*'w'") as caught:
        build(own)
    assert "net.onnx.yaml" not in str(caught.value)


def test_settings_stand_in_one_place(tmp_path: Path):
    path = image_network(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.yaml").write_text("frames: 2")
    with pytest.raises(
        WsvadError, match=r"net\.onnx\.yaml: says how net\.onnx is used, and so does .*own\.yaml; remove"
    ):
        build(write(tmp_path / "own.yaml", f"onnx:{path}"))


def test_our_recipes_are_right_by_the_schema_and_have_what_the_list_shows():
    found = {one.name: one for one in recipes()}
    assert {one.head.stream for one in found.values()} >= {"rgb", "pose", "depth", "mask", "flow", "text", "audio"}
    for one in found.values():
        assert one.head.width and not one.ready
        assert one.how.startswith(("https://", "wsvad encoders --get "))
        assert one.path.read_text(encoding="utf-8").startswith("# ")
    kinds = [kind for name, kind in ENCODERS.working() if name != "recipe"]
    own = set(Head.__dataclass_fields__)
    for kind in kinds:  # no setting is hidden by a field of the recipe
        for argument in ("a.onnx", "a.pth"):
            shape = settings_of(kind, argument)
            assert not own & set(getattr(shape, "__dataclass_fields__", ()))


def test_frames_and_pooling_are_those_that_are_recommended():
    said = {one.name: one.settings for one in recipes()}
    for name in ("pi-vad-pose", "pi-vad-depth", "pi-vad-mask"):  # the middle frame, the mean over the picture
        assert (said[name]["frames"], said[name]["pooling"], said[name]["space"]) == (1, "middle", "mean")
    assert (said["pi-vad-flow"]["frames"], said["pi-vad-flow"]["output"]) == (2, "state")
    assert (said["pi-vad-text"]["frames"], said["clip-b16"]["frames"]) == (8, SNIPPET)
    assert said["i3d-1024"]["crops"] == said["i3d-2048"]["crops"] == 10


def test_recipes_are_listed_and_printed_to_be_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save("clip", tmp_path / "models" / "openai" / "clip-vit-base-patch16")
    assert main(["encoders", "--recipes"]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[1]: line for line in printed.splitlines() if line.startswith("│")}
    assert set(rows) == {path.stem for path in OURS.glob("*.yaml")}
    assert str(tmp_path / "models" / "openai" / "clip-vit-base-patch16") in rows["clip-b16"]
    assert "512" in rows["clip-b16"] and "MIT" in rows["clip-b16"] and "hf:openai/clip-vit-base" in rows["clip-b16"]
    assert "not here; wsvad encoders --get facebook/sam-vit-base" in rows["pi-vad-mask"]
    assert main(["encoders", "--recipes", "pi-vad-mask"]) == 0
    (tmp_path / "own.yaml").write_text(capsys.readouterr().out)
    copied, ours = recipe_of("recipe:own.yaml"), recipe_of("recipe:pi-vad-mask")
    assert copied and ours and (copied.head, copied.settings) == (ours.head, ours.settings)
    assert main(["encoders", "--recipes", "own.yaml"]) == 0
    assert main(["encoders", "--recipes", "nothing"]) == 2
    assert main(["encoders", "--recipes", "own.yaml", "--yes"]) == 2
    assert main(["encoders", "--recipes="]) == 0
