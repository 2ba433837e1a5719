"""π-VAD's inference: against UR-DMU, its backbone, and folded against as it was trained.

python benchmarks/inductors.py [--quick]
"""

import argparse
import json

import torch
from networks import REPEATS, Row, in_turn, row

from wsvad.methods.pi_vad import PiVad, PiVadConfig
from wsvad.methods.ur_dmu import UrDmu

WIDTHS = {"rgb": 1024, "pose": 256, "depth": 384, "mask": 256, "flow": 256, "text": 512}
"""The specification's embeddings, with which the `paper` profile has the published budget."""


def rows(quick: bool = False) -> list[Row]:
    """Scoring ten crops of 240 snippets. "Plain" is UR-DMU in the first row (a ratio below 1 is how much dearer the
    inductors make it), and the unfolded network in the others."""
    x = {"rgb": torch.randn(1, 2 if quick else 10, 240, 1024)}
    size = f"{x['rgb'].shape[1]} crops of 240 snippets"
    torch.manual_seed(0)
    base, found = UrDmu({"rgb": 1024}).compact(), []
    for profile in ("light", "paper"):
        plain, folded = (built(profile) for _ in range(2))
        folded.load_state_dict(plain.state_dict())
        networks = {"base": base, "plain": plain, "folded": folded.compact()}
        calls = {name: (lambda network=network: scored(network, x)) for name, network in networks.items()}
        times = in_turn(calls, 1 if quick else 3 * REPEATS)
        off = {"score_difference": float((scored(folded, x) - scored(plain, x)).abs().max())}
        dearer = {"remark": f"{times['folded'][0] / times['base'][0]:.2f} times ur-dmu's time"}
        found += [
            row(f"pi-vad {profile} scoring {size}, against ur-dmu", times["folded"], times["base"]) | dearer,
            row(f"pi-vad {profile} scoring {size}, folded against as trained", times["folded"], times["plain"]) | off,
        ]
    return found


def built(profile: str) -> PiVad:
    return PiVad(WIDTHS, PiVadConfig(profile=profile)).eval()


@torch.inference_mode()
def scored(network: torch.nn.Module, streams: dict[str, torch.Tensor]) -> torch.Tensor:
    return network(streams)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(rows(parser.parse_args().quick), indent=2))
