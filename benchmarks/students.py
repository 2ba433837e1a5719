"""DAKD's inference: the student against its teacher, and against plain self-attention in its place.

python benchmarks/students.py [--quick]
"""

import argparse
import json

import torch
from networks import REPEATS, Row, in_turn, row

from wsvad.methods.dakd import Dakd, DakdConfig

WIDTHS = {"rgb": 512, "i3d": 1024, "s3d": 1024}
"""The paper's backbones, CLIP as rgb."""


def rows(quick: bool = False) -> list[Row]:
    """Scoring at native length. "Plain" is the teacher in the first row of each, and a student whose layer is plain
    self-attention of the same width in the second (a ratio below 1 is how much dearer the relative terms make it)."""
    found = []
    for videos, length in ((1, 32), (10, 240), (1, 1000)):
        x = {name: torch.randn(videos, length, width) for name, width in WIDTHS.items()}
        torch.manual_seed(0)
        whole, student, plain = built(), built().compact(), built(terms=("self",)).compact()
        calls = {
            "teacher": lambda whole=whole, x=x: scored(whole.teacher_scores, x),
            "student": lambda student=student, x=x: scored(student, x),
            "plain": lambda plain=plain, x=x: scored(plain, x),
        }
        times = in_turn(calls, 1 if quick else 5 * REPEATS)
        size = f"{videos} × {length} snippets"
        sizes = {"remark": f"{weights(whole.teacher):.2f} M weights against {weights(student):.2f} M"}
        dearer = {"remark": f"{times['student'][0] / times['plain'][0]:.2f} times plain self-attention's time"}
        found += [
            row(f"dakd student scoring {size}, against its teacher", times["student"], times["teacher"]) | sizes,
            row(f"dakd student scoring {size}, against self-attention", times["student"], times["plain"]) | dearer,
        ]
    return found


def built(**fields: object) -> Dakd:
    return Dakd(WIDTHS, DakdConfig(backbones=tuple(WIDTHS), test="native", **fields)).eval()


def weights(network: torch.nn.Module) -> float:
    """In millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


@torch.inference_mode()
def scored(score: object, streams: dict[str, torch.Tensor]) -> torch.Tensor:
    return score(streams)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(rows(parser.parse_args().quick), indent=2))
