"""UR-DMU here and transcribed plainly (`eager.py`): a training step and scoring, in seconds.

python benchmarks/networks.py [--quick | --full]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from eager import EagerUrDmu

from wsvad.methods.method import Batch
from wsvad.methods.ur_dmu import UrDmu
from wsvad.training.loop import step

REPEATS = 3

Row = dict[str, str | float]


def rows(quick: bool = False) -> list[Row]:
    """The median of three pairs, ours and the transcription in turn; `ratio` is how much faster ours is.

    `quick` takes small inputs once, to see that it runs. The `_cpu` columns are seconds of processor time, which other
    work on the machine disturbs less than the clock.
    """
    repeats = 1 if quick else REPEATS
    train = (4, 40, 1024) if quick else (128, 200, 1024)
    score = (1, 10, 100, 1024) if quick else (1, 10, 3000, 1024)
    return [*training_rows(train, repeats), *scoring_rows(score, repeats)]


def training_rows(shape: tuple[int, ...], repeats: int) -> list[Row]:
    """A training step (loss, backward, Adam) of the published size, in fp32 and bf16; the transcription is in fp32."""
    torch.manual_seed(0)
    x = torch.randn(shape)
    batch = Batch(streams={"rgb": x}, labels=(torch.arange(shape[0]) >= shape[0] // 2).float())
    ours, plain = UrDmu({"rgb": shape[-1]}).train(), EagerUrDmu(shape[-1]).train()
    (phase,) = ours.phases()
    optimizer = phase.optimizer(phase.parameters, lr=phase.lr, weight_decay=phase.weight_decay, **phase.options)
    plain_optimizer = torch.optim.Adam(plain.parameters(), lr=phase.lr, weight_decay=phase.weight_decay)

    def plain_step() -> None:
        parts = plain.loss(x)
        plain_optimizer.zero_grad()
        parts["total"].backward()
        plain_optimizer.step()

    calls = {
        "fp32": lambda: step(phase, batch, optimizer, "fp32", ours),
        "bf16": lambda: step(phase, batch, optimizer, "bf16", ours),
        "eager": plain_step,
    }
    times = in_turn(calls, repeats)
    size = "×".join(map(str, shape))
    return [row(f"ur-dmu training step {size}, {kind}", times[kind], times["eager"]) for kind in ("fp32", "bf16")]


def scoring_rows(shape: tuple[int, ...], repeats: int) -> list[Row]:
    """Scoring the crops of one long video, in fp32 and in bf16 with the largest difference of a score."""
    torch.manual_seed(0)
    x = torch.randn(shape)
    ours = UrDmu({"rgb": shape[-1]}).eval()
    plain = transcribed(ours).eval()
    found: dict[str, torch.Tensor] = {}

    def ours_in(kind: str) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
            found[kind] = ours({"rgb": x})

    def plainly() -> None:
        with torch.inference_mode():
            found["eager"] = plain(x)

    calls = {"fp32": lambda: ours_in("fp32"), "bf16": lambda: ours_in("bf16"), "eager": plainly}
    times = in_turn(calls, repeats)
    size = f"{shape[1]} crops of {shape[2]} snippets"
    return [
        row(f"ur-dmu scoring {size}, {kind}", times[kind], times["eager"])
        | {"score_difference": float((found[kind] - found["eager"]).abs().max())}
        for kind in ("fp32", "bf16")
    ]


def long_video_row(snippets: int = 100_000, width: int = 1024) -> Row:
    """One very long video at once: seconds, and the highest resident memory in GB of a process that did nothing else.

    The transcription would need 40 GB for one head's weights alone.
    """
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import networks; networks.score_long"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}({snippets}, {width})"], check=True, capture_output=True, text=True
    )
    return {"what": f"ur-dmu scoring {snippets} snippets at once, fp32", **json.loads(done.stdout)}


def score_long(snippets: int, width: int) -> None:
    """What `long_video_row` runs in a process of its own."""
    method = UrDmu({"rgb": width}).eval()
    x = torch.randn(1, snippets, width)
    start, cpu = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        scores = method({"rgb": x})
    assert scores.isfinite().all()
    taken = {"ours": time.perf_counter() - start, "ours_cpu": time.process_time() - cpu}
    print(json.dumps(taken | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}))


def transcribed(ours: UrDmu) -> EagerUrDmu:
    """The plain network with the same sizes and weights."""
    config = ours.config
    sizes = {"hidden": config.hidden, "heads": config.heads, "slots": config.normal_slots, "head": config.head}
    plain = EagerUrDmu(ours.embedding.in_channels, **sizes, dropout=config.dropout)
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    return plain


def in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds, of the clock and of the processor, of calls made in turn, so that disturbances meet all alike."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start, cpu = time.perf_counter(), time.process_time()
            call()
            if turn:  # the first is for warming up
                taken[name].append((time.perf_counter() - start, time.process_time() - cpu))
    return {
        name: (statistics.median(t for t, _ in each), statistics.median(t for _, t in each))
        for name, each in taken.items()
    }


def row(what: str, ours: tuple[float, float], eager: tuple[float, float]) -> Row:
    return {
        "what": what, "ours": ours[0], "eager": eager[0], "ratio": eager[0] / ours[0],
        "ours_cpu": ours[1], "eager_cpu": eager[1], "ratio_cpu": eager[1] / ours[1],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small inputs, once")
    sizes.add_argument("--full", action="store_true", help="also 100,000 snippets at once")
    arguments = parser.parse_args()
    table = rows(arguments.quick)
    if arguments.full:
        table.append(long_video_row())
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
