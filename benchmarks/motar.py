"""RefineVAD's inference: what MoTAR's gate and shift add to its light transformer.

python benchmarks/motar.py [--quick]
"""

import argparse
import json
from collections.abc import Callable

import torch
from networks import REPEATS, Row, in_turn, row

from wsvad.methods.refinevad import Motar, RefineVadConfig, shifted

WIDTHS = {"rgb": 768, "rgb and text": 1536}
"""CLIP ViT-L/14, alone and with the text features of the specification."""


def rows(quick: bool = False) -> list[Row]:
    """MoTAR on ten crops of 240 snippets."""
    return [compared(streams, width, quick) for streams, width in WIDTHS.items()]


def compared(streams: str, width: int, quick: bool) -> Row:
    """ "Plain" is the same embedding and transformer without gate and shift: a ratio below 1 is what they cost. They
    are also timed alone, because on a busy machine the difference of two long times says little of a short one."""
    torch.manual_seed(0)
    x, motar = torch.randn(2 if quick else 10, 240, width), Motar(width, RefineVadConfig()).eval()
    plain = torch.nn.Sequential(motar.embedding, motar.blocks)
    calls = {
        "ours": lambda: inferred(motar, x),
        "plain": lambda: inferred(plain, x),
        "alone": lambda: inferred(lambda x: shifted(x, motar.reach * motar.ratio(x).squeeze(-1), motar.reach), x),
    }
    times = in_turn(calls, 1 if quick else 3 * REPEATS)
    added = times["alone"][1] / times["plain"][1]
    remark = {"remark": f"gate and shift add {100 * added:.1f} % of processor time"}
    return row(f"motar, {streams}, {len(x)} crops of 240 snippets", times["ours"], times["plain"]) | remark


@torch.inference_mode()
def inferred(network: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return network(x)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(rows(parser.parse_args().quick), indent=2))
