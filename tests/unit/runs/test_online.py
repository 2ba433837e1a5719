"""Live scores equal replayed ones, and look at nothing but the last W snippets."""

import pytest
import torch
from torch import nn

from wsvad.runs.online import WINDOWS, OnlineScorer, score_online, score_running


class Attends(nn.Module):
    """Attention over all of its input, so a score depends on every snippet that it is shown; crops are averaged."""

    def __init__(self, widths):
        super().__init__()
        torch.manual_seed(0)
        self.widths = widths
        self.attention = nn.MultiheadAttention(sum(widths.values()), 2, batch_first=True)
        self.score = nn.Linear(sum(widths.values()), 1)
        self.batches = []

    def forward(self, streams):
        x = torch.cat([streams[name] for name in self.widths], dim=-1)
        self.batches.append(tuple(x.shape))
        crops = x.shape[1] if x.ndim == 4 else 1
        x = x.reshape(-1, *x.shape[-2:])
        scores = self.score(self.attention(x, x, x)[0]).squeeze(-1).sigmoid()
        return scores.reshape(-1, crops, scores.shape[-1]).mean(1)


def streams_of(snippets, *crops, dtype=torch.float32):
    generator = torch.Generator().manual_seed(snippets)
    return {
        name: torch.randn(*crops, snippets, width, generator=generator).to(dtype)
        for name, width in {"rgb": 6, "flow": 4}.items()
    }


def pushed(model, streams, window):
    scorer = OnlineScorer(model, window)
    snippets = streams["rgb"].shape[-2]
    return torch.tensor([scorer.push({name: x[..., t, :] for name, x in streams.items()}) for t in range(snippets)])


@pytest.mark.parametrize("crops", [(), (3,)])
@pytest.mark.parametrize(
    "snippets, window", [(1, 1), (1, 8), (7, 8), (8, 8), (9, 8), (WINDOWS + 20, 5), (40, 1), (90, 16)]
)
def test_replay_equals_live_equals_the_definition(snippets, window, crops):
    model, streams = Attends({"rgb": 6, "flow": 4}).eval(), streams_of(snippets, *crops)
    replayed = score_online(model, streams, window)
    with torch.no_grad():
        defined = torch.stack(
            [
                model({name: x[..., max(0, t + 1 - window) : t + 1, :][None] for name, x in streams.items()})[0, -1]
                for t in range(snippets)
            ]
        )
    assert replayed.shape == (snippets,)
    torch.testing.assert_close(replayed, defined, atol=1e-5, rtol=0)
    torch.testing.assert_close(pushed(model, streams, window), defined, atol=1e-5, rtol=0)


def test_the_future_and_what_is_older_than_the_window_do_not_matter():
    model, streams = Attends({"rgb": 6, "flow": 4}).eval(), streams_of(30)
    before = score_online(model, streams, 8)
    streams["rgb"][20] += 5
    changed = (score_online(model, streams, 8) - before).abs() > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(20, 28))


@pytest.mark.parametrize(
    ("crops", "window", "most"), [((), 8, WINDOWS), ((10,), 8, 25), ((10,), 64, 3), ((5,), 420, 1)]
)
def test_memory_is_bounded_by_the_window(crops, window, most):
    """With ten crops as without: 2,048 snippets of all crops are scored at a time."""
    model, streams = Attends({"rgb": 6, "flow": 4}).eval(), streams_of(window + most, *crops)
    score_running(model, [streams], window)
    assert max(batch for batch, *_ in model.batches) == most


def test_a_live_source_is_scored_a_window_at_a_time():
    model, streams = Attends({"rgb": 6, "flow": 4}).eval(), streams_of(200)
    pushed(model, streams, 8)
    assert max(snippets for _, snippets, _ in model.batches) == 8


def test_half_precision_features_are_scored_in_single_precision():
    model, streams = Attends({"rgb": 6, "flow": 4}).eval(), streams_of(20, dtype=torch.float16)
    torch.testing.assert_close(pushed(model, streams, 4), score_online(model, streams, 4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["ur-dmu", "mil"])
def test_replay_equals_live_for_published_methods(name):
    from wsvad.methods import METHODS

    torch.manual_seed(0)
    method_class = METHODS[name]
    method = method_class({"rgb": 16}, method_class.config_class()).eval()
    streams = {"rgb": torch.randn(70, 16)}
    torch.testing.assert_close(pushed(method, streams, 32), score_online(method, streams, 32), atol=1e-5, rtol=0)


@pytest.mark.parametrize("crops", [(), (3,)])
@pytest.mark.parametrize("window", [1, 5, 16, 60])
@pytest.mark.parametrize("lengths", [(4, 90, 1), (3, 2), (7,)])
def test_a_running_camera_has_shown_the_other_videos_before(lengths, window, crops):
    model = Attends({"rgb": 6, "flow": 4}).eval()
    videos = [streams_of(length, *crops) for length in lengths]
    rounds = 2 + window // sum(lengths)
    joined = {name: torch.cat([video[name] for video in videos] * rounds, dim=-2) for name in videos[0]}
    live = pushed(model, joined, window)[-sum(lengths) :].split(lengths)
    for found, expected in zip(score_running(model, videos, window), live, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    first = score_running(model, videos[:1], window, before=videos)[0]
    torch.testing.assert_close(first, live[0], atol=1e-5, rtol=0)
