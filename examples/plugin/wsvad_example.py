"""Top-mean: logistic regression of snippets, trained on the mean of each bag's highest scores."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy

from wsvad.datasets.benchmark import Benchmark
from wsvad.datasets.dataset import LabelledVideo
from wsvad.encoders.encoder import Sampling
from wsvad.methods.method import Phase
from wsvad.metrics.interval import Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopMeanConfig:
    top_every: int = 8
    """⌊T / this⌋ + 1 snippets stand for a bag."""


class TopMean(torch.nn.Module):
    learns_from = runs_on = ("rgb",)
    normalisation, standardised, config_class = "none", (), TopMeanConfig

    def __init__(self, widths, config=None):
        super().__init__()
        self.config, self.linear = config or TopMeanConfig(), torch.nn.Linear(widths["rgb"], 1)

    def forward(self, streams):
        scores = self.linear(streams["rgb"]).squeeze(-1).sigmoid()
        return scores.mean(1) if scores.ndim == 3 else scores  # crops are averaged

    def loss(self, batch):
        scores_BT = self(batch.streams)
        top_B = scores_BT.topk(scores_BT.shape[1] // self.config.top_every + 1).values.mean(1)
        return {part: binary_cross_entropy(top_B, batch.labels) for part in ("bce", "total")}

    def phases(self):
        return [Phase(name="train", loss=self.loss, parameters=list(self.parameters()), iterations=500, lr=0.1)]


class Brightness:
    input, argument, summary = "video", "", "how bright a 4×4 grid of the picture is"
    name, width, sampling = "brightness", 16, Sampling(count=4, size=(4, 4), colour="gray")

    def encode(self, snippets):
        return np.stack([snippet.mean(0).ravel() / 255 for snippet in snippets]).astype(np.float32)

    def passport(self):
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": {}}


class Colour:
    """`colour:hsv/8`: its argument is no file, so it reaches us as it was typed. One that is a file takes
    `resolve = staticmethod(wsvad.encoders.encoder.file_argument)`."""

    input, argument, summary = "video", "SPACE/BINS", "how often each colour occurs, hsv or lab, some bins a channel"

    def __init__(self, argument):
        space, _, bins = argument.partition("/")
        self.name, self.bins, self.code = f"colour:{argument}", int(bins), getattr(cv2, f"COLOR_RGB2{space.upper()}")
        self.width, self.sampling = 3 * self.bins, Sampling(count=4, size=(16, 12))

    def encode(self, snippets):
        pictures = [cv2.cvtColor(snippet.reshape(-1, 1, 3), self.code) for snippet in snippets]
        rows = [[np.histogram(x[..., c], self.bins, (0, 256))[0] for c in range(3)] for x in pictures]
        return np.reshape(rows, (-1, self.width)).astype(np.float32) / pictures[0].shape[0]

    def passport(self):
        return {"encoder": self.name, "width": self.width, "weights": None, "settings": {"bins": self.bins}}


def read(folder):
    """`corridor.txt`: a line `name split frames start end` for each video; start and end are 0 in a normal one."""
    videos = []
    for line in (folder / "corridor.txt").read_text().splitlines():
        name, split, *numbers = line.split()
        frames, start, end = map(int, numbers)
        event = (Interval(start=start, end=end, category="intruder"),) if end else ()
        what = {"label": len(event), "category": "intruder" if event else "normal", "intervals": event}
        videos.append(LabelledVideo(name=name, split=split, frames=frames, **what))
    return videos


CORRIDOR = Benchmark(
    name="corridor", marks=("corridor.txt",), read=read, split={"train": (2, 2), "test": (1, 1)}, headline="auc"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelayConfig:
    path: str
    """File that switches a lamp."""


class Relay:
    """A lamp that is on while an event lasts."""

    config_class = RelayConfig

    def __init__(self, settings):
        self.path = Path(settings.path)

    def deliver(self, alert):
        self.path.write_text("1" if alert.state == "start" else "0")
