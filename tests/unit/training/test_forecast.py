"""How long the paper's budget takes on a small set: said once, in figures that a loop confirms."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from wsvad.cli.main import main
from wsvad.datasets.dataset import LabelledVideo
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.methods.method import Phase
from wsvad.training import forecast, loop
from wsvad.training.forecast import forecast_of
from wsvad.training.protocol import Protocol, under_budget


def videos(count):
    return [
        LabelledVideo(name=f"v{i}", label=i % 2, category="odd" if i % 2 else "normal", split="train")
        for i in range(count)
    ]


PHASES = [
    Phase(name=name, loss=lambda batch: {}, parameters=[torch.nn.Parameter(torch.zeros(1))], iterations=iterations)
    for name, iterations in (("first", 1000), ("main", 3000))
]


def said(protocol, count, seconds, snippets=32):
    """What is said when each iteration takes so many seconds; the iteration after which; how often."""
    now = [0.0]
    found = forecast_of(PHASES, protocol, videos(count), snippets)
    if found is None:
        return None
    found.clock = lambda: now[0]
    lines = []
    for phase in under_budget(PHASES, protocol, videos(count), snippets):
        for _ in range(phase.iterations):
            now[0] += seconds
            if words := found.after(phase):
                lines.append((words, now[0] / seconds))
    return lines


def test_it_says_once_how_long_and_what_suits():
    [(words, after)] = said(Protocol(), 20, 0.5)
    # 4,000 iterations of half a second, two fits; the first three iterations are not timed, and six are.
    assert "2 fits of about 33 min each, 1 h 07 min in all" in words and after == 9
    # Ten videos of a class: a fifth of 4,000 * 30 / 810 passes, in batches of ten; at the cost of the larger ones.
    short = under_budget(PHASES, Protocol(budget="data"), videos(20), 32)
    seconds = 2 * sum(phase.iterations for phase in short) * 0.5
    assert seconds < 60
    assert f"For 20 training videos --budget data suits better, and takes at most about {seconds:.0f} s" in words


def test_one_fit_is_one():
    [(words, _)] = said(replace(Protocol(), hold_out=0.0), 20, 0.5)
    assert "takes about 33 min;" in words and "fits" not in words


@pytest.mark.parametrize(
    ("protocol", "count", "seconds"),
    [
        (Protocol(budget="data"), 20, 0.5),
        (Protocol(iterations=4000), 20, 0.5),
        (Protocol(), 500, 0.5),  # of the size that papers have
        (Protocol(), 20, 0.001),  # a few seconds in all
    ],
)
def test_nothing_is_said_where_nothing_has_to_be(protocol, count, seconds):
    assert not said(protocol, count, seconds)


def test_fit_says_it_on_the_terminal(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    labels = ["video,label,frames,split"]
    for number in range(20):
        passport = Passport(encoder="test", width=4, frames=96)
        features = StoredFeatures(features=rng.normal(size=(6, 4)).astype(np.float32), passport=passport)
        save(feature_path(tmp_path / "features", "rgb", f"v{number}"), features)
        labels.append(f"v{number},{number % 2},96,{'test' if number >= 16 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    now, step = [0.0], loop.step

    def slow(*arguments):
        now[0] += 1
        if now[0] > 8:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "step", slow)
    monkeypatch.setattr(forecast.time, "monotonic", lambda: now[0])
    command = ["fit", str(tmp_path), "--features", str(tmp_path / "features"), "--method", "mil"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 1
    notes = re.findall(r"note: budget 'paper' takes 2 fits of .*--budget data suits better.*", capsys.readouterr().err)
    assert len(notes) == 1 and "For 16 training videos" in notes[0]
