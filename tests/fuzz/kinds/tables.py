"""Tables of labels, intervals, frames and scores, official lists and annotations, annotations of tools: read, and
converted into another form, which must be read again."""

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl

from fuzz.harness import UNCLEAR, Case, Fault, command, kind
from fuzz.mutate import HOSTILE, as_json, damaged_bytes, damaged_value, replace
from wsvad.datasets.annotations import read_annotations
from wsvad.datasets.annotations.truth import AtRate
from wsvad.datasets.open import open_dataset
from wsvad.encoders.captions_file import read_captions
from wsvad.errors import WsvadError
from wsvad.evaluation.measure import evaluate
from wsvad.evaluation.score_forms import save_arrays
from wsvad.evaluation.scores_file import read_scores
from wsvad.features.source import open_features
from wsvad.spelling import message

LABELS = "video,label,category,split,frames\n" + "".join(
    f"{split}{n}.mp4,{n % 2},{'fight' if n % 2 else 'normal'},{split},{100 + n}\n"
    for split in ("train", "test")
    for n in range(4)
)
INTERVALS = (
    "video,category,start_frame,end_frame\ntest1.mp4,fight,10,20\ntest3.mp4,fight,30,40\ntest3.mp4,fight,60,99\n"
)
OFFICIAL = {
    "ucf-crime": {
        "Anomaly_Train.txt": "Abuse/Abuse001_x264.mp4\nTraining-Normal-Videos-Part-1/Normal_Videos003_x264.mp4\n",
        "Anomaly_Test.txt": "Abuse/Abuse028_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_006_x264.mp4\n",
        "Temporal_Anomaly_Annotation.txt": "Abuse028_x264.mp4  Abuse  165  240  -1  -1\n"
        "Normal_Videos_006_x264.mp4  Normal  -1  -1  -1  -1\n",
        "frames.csv": "video,frames\nAbuse028_x264,1412\nNormal_Videos_006_x264,500\n",
    },
    "xd-violence": {
        "rgb.list": "/x/A.Film__#00-01-00_00-01-21_label_B1-0-0__0.npy\n/x/B.Film__#00-03-00_00-03-21_label_A__0.npy\n",
        "rgb_test.list": "/x/C.Film__#00-05-00_00-05-21_label_B2-0-0__0.npy\n/x/v=abc__#1_label_A__0.npy\n",
        "annotations.txt": "C.Film__#00-05-00_00-05-21_label_B2-0-0 10 50 80 90\n",
    },
    "shanghaitech": {
        "SHT_Train.txt": "01_001,0,764\n01_0014,1,265\n",
        "SHT_Test.txt": "01_002,0,300\n01_0015,1,400\n",
    },
    "msad": {
        "MSAD_I3D_WS_Train.list": "Fire_1\nMSAD_normal_training_1\n",
        "MSAD_I3D_WS_Test.list": "Assault_4\nMSAD_normal_testing_2\n",
        "anomaly_annotation.csv": "name,scenario,total frames,starting frame of anomaly,ending frame of anomaly\n"
        "Assault_4,frontdoor,515,1,515\n",
    },
}


def mask(start: int, end: int) -> bytes:
    """Frame labels, as ShanghaiTech has them."""
    made, labels = io.BytesIO(), np.zeros(400, np.uint8)
    labels[start:end] = 1
    np.save(made, labels)
    return made.getvalue()


MASKS = {"test_frame_mask/01_0015.npy": mask(100, 160), "test_frame_mask/01_002.npy": mask(0, 0)}
CVAT = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><name>gate</name>'
    "<source>gate.mp4</source><start_frame>0</start_frame><stop_frame>99</stop_frame></task></meta>"
    '<track id="0" label="fight"><box frame="10" outside="0"/><box frame="12" outside="1"/></track>'
    '<track id="1" label="theft"><polygon frame="80" outside="0" points="1,1;2,2"/></track>'
    '<image id="3" name="f3"><tag label="smoke"/></image><image id="4"><box label="smoke"/></image></annotations>'
)
LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"video": "/data/upload/3/0a1b2c3d-gate%20one.mp4"},
        "annotations": [
            {
                "id": 2,
                "result": [
                    {"type": "timelinelabels", "value": {"ranges": [{"start": 1, "end": 9}], "timelinelabels": ["x"]}},
                    {"type": "choices", "value": {"choices": ["night"]}},
                ],
            }
        ],
    },
    {"id": 2, "data": {"video": "https://host/a%20b.mp4?key=1"}, "annotations": []},
]
VIA = {
    "project": {"pid": "1"},
    "attribute": {"1": {"aname": "what", "anchor_id": "FILE1_Z2_XY0", "type": 4, "options": {"0": "fight"}}},
    "file": {"1": {"fid": "1", "fname": "gate.mp4"}, "2": {"fid": "2", "fname": "yard.mp4"}},
    "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
    "metadata": {
        "1_a": {"vid": "1", "flg": 0, "z": [1.5, 3], "xy": [], "av": {"1": "0"}},
        "2_b": {"vid": "2", "flg": 0, "z": [0, 0.5], "xy": [], "av": {}},
    },
}
SCORES = {
    "videos": [
        {
            "video": f"cam{n}.mp4",
            "frames": 40,
            "snippets": [
                {"start_frame": s, "end_frame": min(40, s + 16), "score": s / 40 + n / 10} for s in (0, 16, 32)
            ],
        }
        for n in range(3)
    ]
}
CAPTIONS = (
    '{"video": "a.mp4", "captions": ["a man walks", "he falls"], "frames": 30, "stride": 16, "source": "0"}\n'
    '{"video": "b.mp4", "captions": ["nothing"]}\n'
)
HOSTILE_CELLS = (
    "", " ", "-1", "1.5", "1e9", "1e308", "nan", "inf", "9" * 12, "9" * 5000, "²", "٣", "0x10", "1_000", "=1+1", "'=1",
    "\u202e", "\x1b[2J", "a\nb", "a\rb", "\0", '"', "'", ",", "../../x", "/etc/passwd", "C:\\x", "x" * 300, "x/" * 5000,
    "a" * 200_000, "__0", ".npy", "label_", "#", "normal", "abnormal", "test",
)  # fmt: skip


def scores() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "video": np.array(["a.mp4", "sub/b.mp4"]),
        "frames": np.array([48, 20]),
        "score": rng.random(68).astype(np.float32),
        "label": np.arange(68) % 3 // 2,
    }


def damaged_table(rng: random.Random, text: str) -> bytes:
    """Bytes, or a cell or a row of it."""
    if rng.random() < 0.4:
        return damaged_bytes(rng, text.encode())
    rows = list(csv.reader(io.StringIO(text)))
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        match rng.randrange(8):
            case 0:
                rows.insert(rng.randrange(len(rows) + 1), list(row))
            case 1:
                rng.shuffle(rows)
            case 2:
                rows.remove(row) if len(rows) > 1 else None
            case 3 if row:
                row.pop(rng.randrange(len(row)))
            case _ if row:
                row[rng.randrange(len(row))] = rng.choice(HOSTILE_CELLS)
    made = io.StringIO()
    csv.writer(made, lineterminator="\n", delimiter="," if "," in text else " ").writerows(rows)
    return made.getvalue().encode(errors="surrogatepass")


def damaged_array(rng: random.Random, content: bytes) -> bytes:
    """Bytes of a .npy file, mostly of its head, or what the head announces."""
    match rng.randrange(4):
        case 0:
            head = rng.choice(
                (b"(1000000000000,), }", b"(4611686018427387904,)", b"((((((400,), }", b"(-1,), }", b"400")
            )
            return content.replace(b"(400,), }".ljust(len(head)), head)
        case 1:
            return content.replace(b"|u1", rng.choice((b"|O", b"|V9", b"<M8", b"<U9", b"<c8", b"x")).ljust(3))
        case 2:
            return damaged_bytes(rng, content[:128]) + content[128:]
        case _:
            return damaged_bytes(rng, content)


def damaged_xml(rng: random.Random, text: str) -> bytes:
    """Bytes, the encoding, or a word of it; or far too much of something."""
    match rng.randrange(9):
        case 0 | 1 | 2:
            return damaged_bytes(rng, text.encode())
        case 3:
            encoding = rng.choice(
                ("klingon", "utf-16", "utf-32", "latin-1", "cp037", "idna", "shift_jis", "x" * 10_000)
            )
            return text.replace("utf-8", encoding).encode(rng.choice(("utf-8", "utf-16", "latin-1")))
        case 4:
            size = rng.choice((10_000, 1_000_000, 10_000_000))
            return text.replace("fight", "f" * size).encode()
        case 5:
            many = " ".join(f'a{n}="1"' for n in range(rng.choice((1000, 50_000, 500_000))))
            return text.replace('label="fight"', f'label="fight" {many}').encode()
        case 6:
            return text.replace("<version>", "<meta>" * rng.choice((10, 100_000)) + "<version>").encode()
        case _:
            words = [
                word for word in ("fight", "gate.mp4", "10", "80", "99", "3", "0", "frame", "label") if word in text
            ]
            hostile = rng.choice(HOSTILE_CELLS).replace("\0", "&#0;").replace("\x1b", "&#27;").replace('"', "&quot;")
            return text.replace(rng.choice(words), hostile).encode(errors="surrogatepass")


def damaged_json(rng: random.Random, value: object) -> bytes:
    if rng.random() < 0.3:
        return damaged_bytes(rng, json.dumps(value).encode())
    for _ in range(rng.choice((1, 1, 3))):
        value = damaged_value(rng, value)
    return as_json(value).encode(errors="surrogatepass")


def said(function: Callable[[], object]) -> Case:
    """As the command line says what is wrong."""

    def case() -> None:
        try:
            function()
        except WsvadError as error:
            raise WsvadError(message(error)) from None

    return case


# ---------------------------------------------------------------------------------------------------------------- cases


def a_folder(rng: random.Random, folder: Path) -> Case:
    """Our own tables."""
    texts = {"labels.csv": LABELS, "intervals.csv": INTERVALS}
    which = rng.choice(list(texts))
    for name, text in texts.items():
        (folder / name).write_bytes(damaged_table(rng, text) if name == which else text.encode())
    _replace_one(rng, folder / which)
    return said(lambda: open_dataset(folder))


def a_spreadsheet(rng: random.Random, folder: Path) -> Case:
    """Our own tables as a spreadsheet writes them: in another encoding, or as a workbook."""
    name, text = rng.choice((("labels", LABELS), ("intervals", INTERVALS)))
    (folder / "labels.csv").write_text(LABELS)
    if rng.random() < 0.4:
        encoding = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "cp1252", "mac-roman"))
        changed = text.replace(",", rng.choice((";", "\t", ","))).replace("fight", rng.choice(("rixe", "Schlägerei")))
        (folder / f"{name}.csv").write_bytes(damaged_bytes(rng, changed.encode(encoding)))
    else:
        (folder / f"{name}.csv").write_bytes(damaged_workbook(rng, text))
    return said(lambda: open_dataset(folder))


def damaged_workbook(rng: random.Random, text: str) -> bytes:
    """A workbook: its bytes, or one of its parts, whose sizes and checksums are then right."""
    book = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(text)):
        book.active.append([int(cell) if cell.isdigit() else rng.choice((cell, cell, cell, True, 0.5)) for cell in row])
    file, changed = io.BytesIO(), io.BytesIO()
    book.save(file)
    if rng.random() < 0.3:
        return damaged_bytes(rng, file.getvalue())
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        which = rng.choice([*old.namelist(), *["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"] * 3])
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, damaged_part(rng, content) if part == which else content)
    return changed.getvalue()


def damaged_part(rng: random.Random, content: bytes) -> bytes:
    match rng.randrange(5):
        case 0:
            numbers = re.findall(rb"\d+", content) or [b"1"]
            return content.replace(rng.choice(numbers), rng.choice((b"-1", b"9" * 30, b"1e308", b"nan", b"")), 1)
        case 1:
            entities = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 12))
            return b'<!DOCTYPE x [<!ENTITY e0 "xxxx">' + entities + b"]>" + content.replace(b"train", b"&e11;", 1)
        case 2:
            return content.replace(b"<v>", b"<f>A1+1</f><v>", rng.choice((1, 100)))
        case 3:
            return content.replace(
                b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
            )
        case _:
            return damaged_bytes(rng, content)


def an_official_folder(rng: random.Random, folder: Path) -> Case:
    """Lists and annotations as they are released."""
    name = rng.choice(list(OFFICIAL))
    files: dict[str, str | bytes] = {**OFFICIAL[name], **(MASKS if name == "shanghaitech" else {})}
    which = rng.choice(list(files))
    for file, whole in files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        content = whole.encode() if isinstance(whole, str) else whole
        if file == which:
            content = damaged_array(rng, content) if isinstance(whole, bytes) else damaged_table(rng, whole)
        (folder / file).write_bytes(content)
    _replace_one(rng, folder / which)
    return said(lambda: open_dataset(f"{name}:{folder}"))


def annotations(rng: random.Random, folder: Path) -> Case:
    """Annotations of a tool into another one's form."""
    ending, content = rng.choice(
        (
            (".csv", damaged_table(rng, INTERVALS)),
            (".xml", damaged_xml(rng, CVAT)),
            (".json", damaged_json(rng, LABEL_STUDIO)),
            (".json", damaged_json(rng, VIA)),
        )
    )
    path = folder / f"in{ending}"
    path.write_bytes(content)
    _replace_one(rng, path)
    to, out = rng.choice((("csv", "out.csv"), ("cvat", "out"), ("label-studio", "out.json"), ("via", "out.json")))
    words = ["convert", str(path), "--out", str(folder / out), "--to", to]
    words += ["--frame-rate", "25"] if to == "via" or b"metadata" in content else []
    if rng.random() < 0.02:
        words[words.index("--to") + 1] = rng.choice(("xml", "voc", str(HOSTILE[rng.randrange(20)])))

    def case() -> None:
        command(words)
        if (folder / out).exists():
            _read_again(lambda: read_annotations(folder / out, lambda video: AtRate(25)))

    return case


def frame_scores(rng: random.Random, folder: Path) -> Case:
    """Scores of any system, converted and measured."""
    form = rng.choice((".npz", ".csv", ".npy", "", ".json"))
    path = folder / f"in{form}"
    if form == ".json":
        path.write_bytes(damaged_json(rng, SCORES))
    else:
        save_arrays(path, scores())
        file = rng.choice([one for one in folder.rglob("*") if one.is_file()])
        content = file.read_bytes()
        file.write_bytes(damaged_table(rng, content.decode()) if file.suffix == ".csv" else damaged_bytes(rng, content))
        _replace_one(rng, file)
    out = folder / rng.choice(("out.npz", "out.csv", "out.npy", "out"))
    if rng.random() < 0.5:
        return said(lambda: evaluate(path))

    def case() -> None:
        command(["convert", str(path), "--out", str(out), *(["--stride", "16"] if rng.random() < 0.1 else [])])
        _read_again(lambda: read_scores(out))

    return case


def a_list(rng: random.Random, folder: Path) -> Case:
    """Captions, and lists of feature files."""
    if rng.random() < 0.5:
        lines = CAPTIONS.splitlines()
        number = rng.randrange(len(lines))
        damaged = damaged_json(rng, json.loads(lines[number]))
        (folder / "captions.jsonl").write_bytes(
            b"\n".join([*(line.encode() for line in lines[:number]), damaged, *map(str.encode, lines[number + 1 :])])
        )
        _replace_one(rng, folder / "captions.jsonl")
        return said(lambda: read_captions(folder / "captions.jsonl"))
    path = folder / "rgb.list"
    path.write_bytes(damaged_table(rng, OFFICIAL["xd-violence"]["rgb.list"]))
    _replace_one(rng, path)
    return said(lambda: open_features(path))


def _replace_one(rng: random.Random, path: Path) -> None:
    if rng.random() < 0.04:
        replace(rng, path)


def _read_again(read: Callable[[], object]) -> None:
    try:
        read()
    except WsvadError as error:
        raise Fault(UNCLEAR, f"what was written is refused: {error}") from None


CASES = (a_folder, a_spreadsheet, an_official_folder, annotations, annotations, frame_scores, frame_scores, a_list)


@kind("tables")
def tables(rng: random.Random, folder: Path) -> Case:
    return rng.choice(CASES)(rng, folder)


def _imported() -> None:
    """What cases import when they are first called, so that none of them takes the time of it."""
    from tempfile import TemporaryDirectory

    from openpyxl.worksheet import _read_only  # noqa: F401

    with TemporaryDirectory() as name:
        path = Path(name, "in.csv")
        path.write_text(INTERVALS)
        command(["convert", str(path), "--out", str(Path(name, "out.json")), "--to", "via", "--frame-rate", "25"])


_imported()
