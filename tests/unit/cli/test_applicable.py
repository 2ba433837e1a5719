"""Options that cannot apply are refused in one line, not swallowed."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from wsvad.cli.main import main
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.mil import Mil, MilConfig
from wsvad.runs.model import TrainedMethod, save_method
from wsvad.runs.normalisation import Normalisation


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A dataset `d` of features, the official files of a published one `ped2`, a run, a scores file, and labels."""
    place = tmp_path_factory.mktemp("place")
    labels, (d, ped2) = ["video,label,frames,split"], (place / "d", place / "ped2")
    for number in range(8):
        passport = Passport(encoder="made", width=4, frames=64)
        features = np.random.default_rng(number).normal(size=(4, 4)).astype(np.float32)
        for stream in ("rgb", "clip"):
            stored = StoredFeatures(features=features, passport=passport)
            save(feature_path(d / "features", stream, f"v{number}"), stored)
        labels.append(f"v{number},{number % 2},64,{'test' if number > 3 else 'train'}")
    (d / "labels.csv").write_text("\n".join(labels))
    (d / "intervals.csv").write_text("video,category,start_frame,end_frame\nv5,fall,0,32\nv7,fall,0,32\n")
    ped2.mkdir()
    (ped2 / "labels.csv").write_text((d / "labels.csv").read_text())
    np.savez(
        place / "scores.npz", video=["v4", "v5", "v6", "v7"], frames=[64] * 4, score=np.zeros(256), label=np.zeros(256)
    )
    np.save(place / "gt.npy", np.zeros(64))
    (place / "x.csv").write_text("video,frame,score\na,0,0.5\n")
    (place / "i.csv").write_text("video,category,start_frame,end_frame\nv5,fall,0,32\nv7,fall,0,32\n")
    trained = TrainedMethod(
        name="mil", method=Mil({"rgb": 4}, MilConfig(hidden=(4, 2))).eval(), widths={"rgb": 4},
        normalisation=Normalisation(kinds={"rgb": "none"}), passports={"rgb": passport.identity()},
        encoders={"rgb": "motion"},
    )  # fmt: skip
    save_method(place / "run", trained)
    return place


D = "--data d --features d/features"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train d --teacher run", "--teacher is not for ur-dmu, which learns without a teacher"),
        ("fit d --features d/features --teacher run", "--teacher is not for ur-dmu"),
        ("train d --modalities pose", "--modalities: this method learns from rgb only (ur-dmu)"),
        ("fit d --features d/features --modalities pose", "--modalities: this method learns from rgb only"),
        (f"bench {D} --methods 'mil, ur-dmu' --modalities pose", "--modalities is not for mil, ur-dmu"),
        ("train d --method pi-vad --modalities 'pose,, flow'", "--modalities 'pose,, flow': a name is empty"),
        ("train d --method pi-vad --modalities 'pose, pose'", "--modalities 'pose, pose': pose is listed twice"),
        (f"bench {D} --methods pi-vad --modalities ''", "--modalities '': a name is empty"),
        ("train d --flow flow", "--flow is not for ur-dmu, which learns from rgb only"),
        ("train d --stream clip=motion", "--stream clip=motion is not for ur-dmu, which learns from rgb only"),
        ("train d --method pi-vad --modalities pose --flow flow", "--flow is not for pi-vad, which learns from rgb, p"),
        ("train d --method dakd --config.backbones [flow] --config.student flow --rgb motion", "--rgb is not for dakd"),
        (f"bench {D} --methods mil,ur-dmu --text lsa:x.jsonl", "--text is not for mil, ur-dmu"),
        (f"ablate refinevad --table lambda1 {D} --flow flow", "--flow is not for refinevad, which learns from rgb"),
        ("train d --hold-out 0 --max-false-alarms-per-hour 2", "--max-false-alarms-per-hour is not for --hold-out 0"),
        (f"bench {D} --methods mil --against mil", "--against is not for a single method"),
        (f"bench {D} --methods mil,rtfm --against ur-dmu", "--against ur-dmu: it is not among the methods"),
        (f"bench {D} --methods mil --headline aux", "--headline aux: no such metric"),
        (f"ablate refinevad {D}", "name a --table or a --figure"),
        (f"ablate refinevad --table lambda1 --figure 4 {D}", "name a --table or a --figure, and not both"),
        (f"ablate refinevad --table lambda1 {D} --to-features d/features", "--to and --to-features go together"),
        (f"ablate refinevad --table lambda1 {D} --to d", "--to and --to-features go together"),
        (f"ablate pi-vad --table transfer {D}", "this table is about another dataset; name it with --to and"),
        (f"ablate refinevad --table lambda1 {D} --config mil.lr=1", "--config mil: 'Without the smoothing loss' has"),
        ("evaluate scores.npz --labels d/labels.csv", "--labels is not for an evaluation without --data"),
        ("evaluate scores.npz --intervals i.csv", "--intervals is not for an evaluation without --data"),
        ("evaluate run --features d/features", "--features is not for an evaluation without --data"),
        ("evaluate scores.npz --data d --features d/features", "--features is not for scores, which are measured as"),
        ("evaluate scores.npz --compat vadclip", "--compat vadclip needs the truth; name the dataset with --data"),
        ("evaluate scores.npz --data d --compat vadclip", "--compat vadclip is about mAP, which needs class scores"),
        (f"evaluate run {D} --compat vadclip", "--compat vadclip is about mAP, which needs class scores"),
        ("evaluate scores.npz --data ucsd-ped2:ped2 --labels d/labels.csv", "--labels is not for ucsd-ped2"),
        ("fit ucsd-ped2:ped2 --features d/features --intervals i.csv", "--intervals is not for ucsd-ped2, whose off"),
        ("distill run --to rgb --labels d/labels.csv", "--labels is not for the dataset that is recorded in the run"),
        ("distill run --to rgb --data d --features d/features --flow flow", "--flow is not for this student and its t"),
        ("distill run --to rgb --data d --features d/features --rgb flow", "--rgb: the run makes rgb with motion"),
        ("distill run --to rgb --config.student flow", "--config.student is not for --to rgb"),
        ("distill run --to rgb --config.given mil --config.levels [prediction]", "--config.given is not for this verb"),
        ("distill run --to clip --data d --features d/features --workers 0", "--workers is not for a student whose en"),
        ("distill run --to clip --data d --features d/features --max-false-alarms-per-hour 2", "--max-false-alarms-pe"),
        ("transfer run --to d --to-features d/features --seeds 3", "--seeds is not for mil, which has no CORE"),
        ("doctor gt.npy --data d --against d/features", "--against is not for an array of frame labels"),
        ("doctor gt.npy --data d --repair fixed", "--repair is not for an array of frame labels"),
        ("compare-features d/features", "compare-features: 1 sets; name two"),
        ("convert scores.npz --out y.csv --to csv", "--to is not for scores; leave it out"),
        ("convert scores.npz --out y.csv --stride 1", "--stride is not for scores in .npz; leave it out"),
        ("convert x.csv --out y.npz --listing i.csv", "--listing is not for scores in .csv; leave it out"),
        ("convert i.csv --out y.xml --stride 1", "--stride is not for annotations; leave it out"),
        ("convert i.csv --out cvat --to cvat --frame-rate 25", "--frame-rate: csv and cvat count the frames"),
        ("convert i.csv --out y.json --to via --frame-rate 0", "--frame-rate 0: write frames a second"),
        ("import run/model.safetensors --method pi-vad", "pi-vad has no public checkpoint format"),
    ],
)  # fmt: skip
def test_what_cannot_apply_is_refused(line, says, place, capsys, monkeypatch):
    monkeypatch.chdir(place)
    before = sorted(place.rglob("*"))
    assert main(shlex.split(line)) == 2
    told = capsys.readouterr()
    (said,) = told.err.splitlines()
    assert says in said and told.out == ""
    assert sorted(place.rglob("*")) == before


def test_what_could_not_be_scored_is_in_what_programs_read(place, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    broken, out = tmp_path / "broken.mp4", tmp_path / "o"
    broken.write_bytes(b"not a video")
    assert main(["score", str(broken), "--model", "run", "--json", "--out", str(out)]) == 1
    told = capsys.readouterr()
    record = json.loads(told.out)
    assert record == json.loads((out / "scores.json").read_text())
    assert record["videos"] == [] and [one["file"] for one in record["left_out"]] == [str(broken)]
    assert "not a video that can be read" in record["left_out"][0]["reason"] and "broken.mp4" in told.err
