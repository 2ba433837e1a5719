"""What one backbone gives, what all of them give to DAKD's teacher, and what a student of one keeps; to `results/`.

python benchmarks/distillation.py [ucsd-ped2|cctv-fights|toy …]      by default all three

Backbones: MobileNet's embedding, motion, and pose: keypoints, on the simulated camera exact ones. Five seeds, the
`data` budget. The footage and the networks lie beside the project. Each table is one command, printed as it runs; a
killed run goes on.
"""

import csv
import shutil
import sys
from pathlib import Path
from statistics import mean

from command import wsvad

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
BACKBONES = ("mobilenet", "motion", "pose")


def run(data: str, out: Path = Path("runs/gain")) -> None:
    networks = SHARED / "models"
    command = ["ablate", "dakd", "--table", "gain", "--data", data if data == "toy" else str(SHARED / "data" / data)]
    command += ["--stream", f"mobilenet=tflite:{networks}/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"]
    command += ["--stream", "motion=motion"]
    if data != "toy":
        command += ["--pose", f"pose:{networks}/movenet_single_pose_lightning_ptq.tflite"]
    command += ["--config.backbones", f"[{','.join(BACKBONES)}]", "--config.student", "motion"]
    command += ["--seeds", "5", "--points", "1", "--out", str(out / data)]
    wsvad(*command)
    for suffix in ("csv", "md", "svg"):
        shutil.copy(out / data / f"dakd-gain.{suffix}", HERE / "results" / f"dakd-gain-{data}.{suffix}")
    with (HERE / "results" / f"dakd-gain-{data}.md").open("a", encoding="utf-8") as page:
        page.write("\n" + shares(out / data / "dakd-gain.csv"))


def shares(table: Path) -> str:
    """(student − mil) / (teacher − mil) on each backbone, of mean frame AUC and of AUC_A, as a Markdown table."""
    values: dict[tuple[str, str], list[float]] = {}
    with table.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            values.setdefault((line["row"], line["metric"]), []).append(float(line["value"]))
    lines = ["| student on | share of the gain in AUC | in AUC_A |", "| --- | --- | --- |"]
    for name in BACKBONES:
        cells = []
        for metric in ("auc", "auc_abnormal"):
            own, alone, teacher = (
                mean(values[row, metric]) for row in (f"student on {name}", f"mil on {name}", "DAKD teacher")
            )
            gain = f"{100 * (own - alone):+.1f} of {100 * (teacher - alone):+.1f} points"
            cells.append(f"{(own - alone) / (teacher - alone):.2f} ({gain})" if teacher > alone else f"– ({gain})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:] or ("ucsd-ped2", "cctv-fights", "toy"):
        run(name)
