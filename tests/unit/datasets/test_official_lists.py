"""Lists and annotations in the forms that public repositories have them in: each is opened, each names the same videos.

Paths, names of files and columns are as released; what would tell a person is changed.
"""

from pathlib import Path

import numpy as np
import pytest

from wsvad.datasets.official import frame_counts, list_files, read_list, video_name
from wsvad.datasets.open import open_dataset
from wsvad.errors import WsvadError
from wsvad.evaluation.measure import measure
from wsvad.evaluation.scores_file import curves_from_scores_file, read_scores, write_scores
from wsvad.video.names import matched

UCF = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
ARSON, NORMAL = "Arson022_x264", "Normal_Videos_003_x264"
ARSON_ROWS = f"{ARSON}.mp4  Arson  3500  4000  -1  -1  \n{NORMAL}.mp4  Normal  -1  -1  -1  -1  \n"

# ------------------------------------------------------------------------------------------------------- annotations

UCF_ANNOTATIONS = {
    "official": (UCF, ARSON_ROWS, (None, None)),
    "carriage returns": (UCF, ARSON_ROWS.replace("\n", "\r\n"), (None, None)),
    "a comment and a head": (UCF, f"# file class s1 e1 s2 e2\nvideo-id class s1 e1 s2 e2\n{ARSON_ROWS}", (None, None)),
    "frames before the class": (
        "Temporal_Anomaly_Annotation.txt",
        f"Arson/{ARSON}.mp4 8640 Arson 3500 4000 -1 -1\nTesting_Normal_Videos_Anomaly/{NORMAL}.mp4 2825 Normal -1 -1 "
        "-1 -1\n",
        (8640, 2825),
    ),
    "frames at the end, tabs": (
        "Temporal_Anomaly_Annotation_frames.txt",
        f"{ARSON}.mp4\tArson\t3500\t4000\t-1\t-1\t8640\n{NORMAL}.mp4\tNormal\t-1\t-1\t-1\t-1\t2825\n",
        (8640, 2825),
    ),
    "another name, the folder as class": (
        "ucf_test_gt.txt",
        f"Arson/{ARSON}.mp4 8640 Arson 3500 4000 -1 -1\nTesting_Normal_Videos_Anomaly/{NORMAL}.mp4 2825 "
        "Testing_Normal_Videos_Anomaly -1 -1 -1 -1\n",
        (8640, 2825),
    ),
    "commas": (
        "annotation.csv", f"video,class,s1,e1,s2,e2\n{ARSON},Arson,3500,4000,-1,-1\n{NORMAL},Normal,-1,-1,-1,-1\n",
        (None, None),
    ),
    "one pair alone": (UCF, f"{ARSON}.mp4 Arson 3500 4000\n{NORMAL}.mp4 Normal -1 -1\n", (None, None)),
}  # fmt: skip


@pytest.mark.parametrize("form", list(UCF_ANNOTATIONS))
def test_annotations_of_ucf_crime_are_one_truth_and_their_frame_counts_are_used(tmp_path, form):
    file, text, frames = UCF_ANNOTATIONS[form]
    (tmp_path / file).write_text(text)
    arson, normal = open_dataset(f"ucf-crime:{tmp_path}", need_training=False).test
    assert (arson.name, normal.name) == (ARSON, NORMAL)
    assert [(i.start, i.end, i.category) for i in arson.intervals] == [(3500, 4000, "Arson")]
    assert normal.intervals == ()
    assert (arson.frames, normal.frames) == frames


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"Arson/{ARSON}.mp4 3000 Arson 3500 4000 -1 -1", "has 3000 frames, but something from frame 3500 on"),
        (f"{ARSON}.mp4 8640 9000 Arson 3500 4000", "is not 'file class s1 e1 s2 e2'"),
        (f"{ARSON}.mp4 3500 4000 -1 -1", "is not 'file class s1 e1 s2 e2'"),
        (f"{ARSON}.mp4 Arson Fire 3500 4000", "is not 'file class s1 e1 s2 e2'"),
    ],
)
def test_an_annotation_that_contradicts_itself(tmp_path, line, says):
    (tmp_path / UCF).write_text(line)
    with pytest.raises(WsvadError, match=rf"line 1: .*{says}"):
        open_dataset(f"ucf-crime:{tmp_path}", need_training=False)


def test_frame_counts_of_the_annotation_and_of_frames_csv_must_agree(tmp_path):
    (tmp_path / UCF).write_text(f"{ARSON}.mp4 8640 Arson 3500 4000 -1 -1\n")
    (tmp_path / "frames.csv").write_text(f"video,frames\n{ARSON},8641\n")
    with pytest.raises(WsvadError, match=rf"{ARSON} has 8640 frames here but 8641 in frames.csv"):
        open_dataset(f"ucf-crime:{tmp_path}", need_training=False)


@pytest.mark.parametrize(
    "content",
    [
        f"Video;Frames;;\r\n{ARSON};8640;;\r\n".encode("utf-16"),
        f"sep=;\r\nframes;video\r\n8640;{ARSON}.mp4\r\n".encode(),
        f"# counted\n{ARSON}\t8640\n".encode(),
        f"video,frames\na, b and c.mp4,12\n{ARSON},8640\n".encode("utf-8-sig"),
    ],
)
def test_frame_counts_as_spreadsheets_write_them(tmp_path, content):
    (tmp_path / "frames.csv").write_bytes(content)
    counts = frame_counts(tmp_path)
    assert counts[ARSON] == 8640
    assert counts.get("a, b and c", 12) == 12
    assert len(counts) == 1 + (b"a, b" in content)


def test_lists_and_annotations_from_a_spreadsheet(tmp_path):
    head = "name;scenario;Total frames;Starting frame of anomaly;Ending frame of anomaly;;"
    (tmp_path / "anomaly_annotation.csv").write_bytes(f"{head}\r\nFire_2;Geschäft;300;100;120;;\r\n".encode("cp1252"))
    (tmp_path / "test.list").write_bytes("Fire_2_i3d.npy\r\n".encode("utf-16"))
    (fire,) = open_dataset(f"msad:{tmp_path}", need_training=False).test
    assert (fire.frames, [(i.start, i.end) for i in fire.intervals]) == (300, [(99, 120)])


def test_msad_counts_from_one_and_the_last_frame_is_abnormal(tmp_path):
    """`Assault_4,frontdoor,515,1,515`: all of it. The first row is as released."""
    rows = ["Assault_4,frontdoor,515,1,515", "Fire_2,shop,300,100,120", "Fire_2,shop,300,200,300"]
    head = "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"
    (tmp_path / "anomaly_annotation.csv").write_text("\n".join([head, *rows]))
    (tmp_path / "test.list").write_text("Assault_4_i3d.npy\nFire_2_i3d.npy\n")
    assault, fire = open_dataset(f"msad:{tmp_path}", need_training=False).test
    assert [(i.start, i.end) for i in assault.intervals] == [(0, 515)]
    assert [(i.start, i.end) for i in fire.intervals] == [(99, 120), (199, 300)]
    for row in ("Assault_4,frontdoor,515,0,515", "Assault_4,frontdoor,515,9,8"):
        (tmp_path / "anomaly_annotation.csv").write_text(f"{head}\n{row}")
        with pytest.raises(WsvadError, match=r"line 2: frames \d to \d+ of Assault_4; they count from 1"):
            open_dataset(f"msad:{tmp_path}", need_training=False)


# ------------------------------------------------------------------------------------------------------------- lists

XD_A, XD_B = "v=abc_-1__#00-01-02_00-02-03_label_A", "The Film 2001__#01-00-00_01-01-00_label_B6-0-0"
UCF_TRAIN = ("Abuse001_x264", "Normal_Videos912_x264")
LISTS = [
    ("ucf-crime", "Anomaly_Train.txt", "Abuse/{}.mp4\nTraining_Normal_Videos_Anomaly/{}.mp4\n"),
    ("ucf-crime", "ucf-i3d.list", "/home/x/UCF_Train_ten_i3d/{}_i3d.npy\n/home/x/UCF_Train_ten_i3d/{}_i3d.npy\n"),
    ("ucf-crime", "ucf-c3d.list", "data/c3d/{}_c3d.npy\ndata/c3d/{}_c3d.npy\n"),
    ("ucf-crime", "ucf-vit.list", "/x/ViT/all/{}.npy\n/x/ViT/all/{}.npy\n"),
    ("ucf-crime", "ucf-swin.list", "/x/{}_swin.npy 0 1\n/x/{}_swin.npy 0 0\n"),
    ("ucf-crime", "ucf-videomae.txt", "{}_videomae.npy\n{}_videomae.npy\n"),
    ("ucf-crime", "ucf_CLIP_rgb.csv", "path,label\n/x/Abuse/{}__0.npy,Abuse\n/x/Normal/{}__5.npy,Normal\n"),
    ("ucf-crime", "ucf-crime.training.csv", "video-id\n{}\n{}\n"),
    ("ucf-crime", "ucf-crime.training.csv", "video-id,label,frames\n{},1,2729\n{},0,1410\n"),
    ("ucf-crime", "train.list", "# training videos\n{}\n{}\n"),
    ("ucf-crime", "train.txt", "Abuse\\{}.mp4 12 1\r\nNormal\\{}.mp4 7 0\r\n"),
    ("ucf-crime", "train.csv", "features/ucf/{}.npy\nfeatures/ucf/{}.npy\n"),
    ("ucf-crime", "list/videos.csv", "name;class\n{};Abuse\n{};Normal\n"),
    ("ucf-crime", "split.tsv", "file\tclass\n{}.mp4\tAbuse\n{}.mp4\tNormal\n"),
    ("ucf-crime", "ucf_x3d_train.list", "/x/{}_x3d__0.npy\n/x/{}__0_x3d.npy\n"),
    ("xd-violence", "rgb.list", "/media/i3d/RGB/{}__0.npy\n/media/i3d/RGB/{}__4.npy\n"),
    ("xd-violence", "audio.list", "/media/vggish/train/{}__vggish.npy\n/media/vggish/train/{}__vggish.npy\n"),
    ("xd-violence", "violence-CLIP-train.list", "/x/CLIP/{}.npy\n/x/CLIP/{}.npy\n"),
    ("xd-violence", "violence-i3d.list", "/x/{}_i3d.npy\n/x/{}_i3d.npy\n"),
    ("xd-violence", "xd_CLIP_rgb.csv", "path,label\n/x/{}__0.npy,A\n\"/x/{}__0.npy\",B6-0-0\n"),
    ("xd-violence", "names.csv", "video_name\n{}\n{}\n"),
    ("xd-violence", "train.list", "{}.mp4\n{}.mp4\n"),
    ("shanghaitech", "SHANGHAI_train.txt", "{},0,764\n{},1,265\n"),
    ("shanghaitech", "SHANGHAI_train.txt", "{} 764 0\n{} 265 1\n"),
    ("shanghaitech", "shanghai-i3d-train-10crop.list", "/home/x/SHT_i3d/{}_i3d.npy\n/home/x/SHT_i3d/{}_i3d.npy\n"),
    ("shanghaitech", "train.list", "/x/{}_c3d.npy\n/x/{}_c3d.npy\n"),
    ("shanghaitech", "sht-clip.csv", "path\n/x/{}__0.npy\n/x/{}__1.npy\n"),
    ("shanghaitech", "videos.txt", "SHT/training/videos/{}.avi\nSHT/testing/frames/{}\n"),
    ("msad", "MSAD_I3D_WS_Train.list", "D:\\MSAD\\{}_i3d.npy\nD:\\MSAD\\{}_i3d.npy\n"),
    ("msad", "msad-swin.list", "MSAD_swin/train/{}_swin.npy\nMSAD_swin/train/{}_swin.npy\n"),
    ("msad", "train.csv", "filename,label\n{}.mp4,1\n{}.mp4,0\n"),
    ("msad", "msad-i3d.list", "{}__0.npy\n{}__9.npy\n"),
]  # fmt: skip
NAMES = {
    "ucf-crime": UCF_TRAIN,
    "xd-violence": (XD_A, XD_B),
    "shanghaitech": ("01_001", "05_0017"),
    "msad": ("Traffic_accident_3", "MSAD_normal_12"),
}


def with_test_files(name: str, folder: Path) -> None:
    """What a folder has to have beside the list in question."""
    match name:
        case "ucf-crime":
            (folder / UCF).write_text(ARSON_ROWS)
        case "xd-violence":
            (folder / "annotations.txt").write_text("v=t__#1_label_G-0-0 5 9\n")
            (folder / "test.list").write_text("v=t__#1_label_G-0-0\n")
        case "shanghaitech":
            (folder / "label").mkdir()
            np.save(folder / "label" / "01_0014.npy", np.ones(9, np.uint8))
            (folder / "test.list").write_text("01_0014\n")
        case "msad":
            (folder / "anomaly_annotation.csv").write_text("name,scenario,total frames,start,end\nFire_1,shop,9,1,9\n")
            (folder / "test.list").write_text("Fire_1\n")


@pytest.mark.parametrize(("name", "file", "text"), LISTS)
def test_a_list_of_any_form_and_name_is_the_training_list(tmp_path, name, file, text):
    with_test_files(name, tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text.format(*NAMES[name]))
    assert tuple(v.name for v in open_dataset(f"{name}:{tmp_path}").train) == NAMES[name]


def test_a_list_of_shanghaitech_tells_lengths_before_or_behind_the_label(tmp_path):
    with_test_files("shanghaitech", tmp_path)
    for text in ("01_001,0,764\n05_0017,1,265\n", "01_001 764 0\n05_0017 265 1 3 9\n"):
        (tmp_path / "SHANGHAI_train.txt").write_text(text)
        assert [v.frames for v in open_dataset(f"shanghaitech:{tmp_path}").train] == [764, 265]


@pytest.mark.parametrize("name", list(NAMES))
def test_where_no_list_is_found_those_that_were_seen_are_named(tmp_path, name):
    with_test_files(name, tmp_path)
    (tmp_path / "avenue.list").write_text("Avenue/01.npy\n")
    with pytest.raises(WsvadError, match=rf"no list of the training videos of {name} here .*avenue.list.* none"):
        open_dataset(f"{name}:{tmp_path}")
    if name != "ucf-crime":  # its annotation is a list of the test videos
        (tmp_path / "test.list").unlink()
        with pytest.raises(WsvadError, match=r"no list of the test videos here \(.*\); .*avenue.list.* none; copy"):
            open_dataset(f"{name}:{tmp_path}")


def test_train_csv_and_test_csv_may_be_lists_of_a_named_dataset(tmp_path):
    with_test_files("msad", tmp_path)
    (tmp_path / "test.list").unlink()
    (tmp_path / "train.csv").write_text("video-id\nFire_2\nMSAD_normal_3\n")
    (tmp_path / "test.csv").write_text("video-id\nFire_1\n")
    dataset = open_dataset(f"msad:{tmp_path}")
    assert [(v.name, v.split) for v in dataset.videos] == [
        ("Fire_2", "train"), ("MSAD_normal_3", "train"), ("Fire_1", "test"),
    ]  # fmt: skip


def test_an_annotated_video_of_msad_that_is_in_no_list_is_named(tmp_path):
    """Otherwise it would be missed by nobody, and the figures would be of another test set."""
    head = "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly"
    (tmp_path / "anomaly_annotation.csv").write_text(f"{head}\nFire_1,shop,300,1,9\nFire_2,shop,300,1,9\n")
    (tmp_path / "test.list").write_text("Fire_1_i3d.npy\n")
    # Without a list of training videos, it may be one of them.
    assert [v.name for v in open_dataset(f"msad:{tmp_path}", need_training=False).test] == ["Fire_1"]
    (tmp_path / "train.list").write_text("Fire_3_i3d.npy\nMSAD_normal_1_i3d.npy\n")
    with pytest.raises(WsvadError, match=r"anomaly_annotation\.csv: Fire_2 is in neither list of videos; copy the"):
        open_dataset(f"msad:{tmp_path}")
    (tmp_path / "train.list").write_text("Fire_2_i3d.npy\nMSAD_normal_1_i3d.npy\n")
    assert len(open_dataset(f"msad:{tmp_path}").videos) == 3


def test_test_videos_of_ucf_crime_are_in_the_order_of_a_list_of_them(tmp_path):
    (tmp_path / UCF).write_text(ARSON_ROWS)
    (tmp_path / "ucf-c3d-test.list").write_text(f"/x/{NORMAL}_c3d.npy\n/x/{ARSON}_c3d.npy\n")
    assert [v.name for v in open_dataset(f"ucf-crime:{tmp_path}", need_training=False).test] == [NORMAL, ARSON]
    (tmp_path / "ucf-c3d-test.list").write_text(f"/x/{NORMAL}_c3d.npy\n")  # of other videos
    assert [v.name for v in open_dataset(f"ucf-crime:{tmp_path}", need_training=False).test] == [ARSON, NORMAL]


# ------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "file",
    [
        "{}", "{}.mp4", "Abuse/{}.mp4", "{}.npy", "{}__0", "{}__7.npy", "{}_i3d.npy", "{}_c3d.npy", "{}_clip.npy",
        "{}_swin.npy", "{}_videomae.npy", "{}__vggish.npy", "{}_i3d__3.npy", "{}__3_i3d.npy", "{}.mp4.npy",
        "C:\\x\\{}_I3D.NPY", "/a b/{}_C.txt",
    ],
)  # fmt: skip
def test_a_name_is_the_same_in_every_kind_of_file(file):
    wanted = "Abuse028_x264_C" if "_C.txt" in file else "Abuse028_x264"
    assert video_name(file.format("Abuse028_x264")) == wanted


def test_videos_that_are_called_so_keep_their_names():
    assert matched(["a_clip", "x/b.mp4", "c__0", "c__1"], ["a_clip", "a", "b", "c"]) == {
        "a_clip": "a_clip",
        "x/b.mp4": "b",
    }
    assert matched(["a"], ["one/a.mp4", "two/a.mp4"]) == {}
    assert [video_name(name) for name in ("Assault_1", "v=x__#1_label_A", "cam.2.mp4")] == [
        "Assault_1", "v=x__#1_label_A", "cam.2",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["{}", "{}.mp4", "Abuse/{}.mp4", "{}__0", "{}.npy"])
def test_scores_under_any_of_these_names_are_those_of_the_videos(tmp_path, form):
    (tmp_path / UCF).write_text(ARSON_ROWS)
    dataset = open_dataset(f"ucf-crime:{tmp_path}", need_training=False)
    scores = {form.format(name): np.linspace(0, value, 4800) for name, value in ((ARSON, 1.0), (NORMAL, 0.5))}
    write_scores(tmp_path / "scores.npz", scores)
    curves = curves_from_scores_file(read_scores(tmp_path / "scores.npz"), dataset)
    assert [(curve.video, curve.abnormal_frames) for curve in curves] == [(ARSON, 500), (NORMAL, 0)]
    assert measure(tmp_path / "scores.npz", dataset, None).metrics["video_auc"] == 1


def test_scores_of_single_crops_are_told_to_be_that(tmp_path):
    (tmp_path / UCF).write_text(ARSON_ROWS)
    dataset = open_dataset(f"ucf-crime:{tmp_path}", need_training=False)
    write_scores(tmp_path / "scores.npz", {f"{ARSON}__{crop}": np.zeros(16) for crop in range(2)})
    with pytest.raises(WsvadError, match=rf"'{ARSON}__0' and '{ARSON}__1' are both of {ARSON}; give one score a frame"):
        measure(tmp_path / "scores.npz", dataset, None)


def test_lists_have_no_videos_called_like_their_columns(tmp_path):
    for head in ("video-id", "video_id,label", "path,label", "file", "Video", "filename class", "feature_path", "name"):
        (tmp_path / "a.list").write_text(f"{head}\n\n# x\nfile_1\nvideo_2\n")
        assert read_list(tmp_path / "a.list") == ["file_1", "video_2"]


def test_what_score_wrote_into_the_folder_is_no_list(tmp_path):
    for file in ("scores.csv", "events.csv", "frames.csv", "train.csv"):
        (tmp_path / file).write_text("video\nAbuse001_x264\n")
    assert [path.name for path in list_files(tmp_path)] == ["train.csv"]
