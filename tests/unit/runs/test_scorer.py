"""One scorer: blocks of long videos, all that a method says from one pass, whole and online."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from weakref import ref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wsvad.datasets.dataset import Bag
from wsvad.errors import WsvadError
from wsvad.methods.abilities import scored_whole
from wsvad.methods.dakd import Dakd, DakdConfig
from wsvad.methods.mil import Mil, MilConfig
from wsvad.methods.pi_vad import PiVad, PiVadConfig
from wsvad.methods.refinevad import RefineVad, RefineVadConfig
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig
from wsvad.runs import scorer as module
from wsvad.runs.normalisation import Normalisation
from wsvad.runs.scorer import BLOCK, CLASSES, EVERYTHING, Scorer, blocks

SMALL = UrDmuConfig(hidden=16, heads=2, feed_forward=16, abnormal_slots=5, normal_slots=5, head=8)


def bag(snippets: int, *crops: int, width: int = 6) -> Bag:
    x = torch.randn(*crops, snippets, width, generator=torch.Generator().manual_seed(snippets))
    return Bag(streams={"rgb": x}, label=0, category="normal", frames=16 * snippets, video=f"v{snippets}")


def scorer_of(method: nn.Module, window: int = 4, block: int = BLOCK) -> Scorer:
    return Scorer(method, Normalisation(kinds={"rgb": "l2"}), window=window, block=block)


# ------------------------------------------------------------------------------------------------- blocks


@given(st.integers(1, 400), st.integers(2, 60), st.data())
def test_every_snippet_counts_once_and_inside_its_block(snippets, block, data):
    overlap = data.draw(st.integers(0, block - 1))
    found = list(blocks(snippets, block, overlap))
    counted = np.concatenate([np.arange(start, end)[kept] for start, end, kept in found])
    np.testing.assert_array_equal(counted, np.arange(snippets))
    for start, end, kept in found:
        assert end - start == min(block, snippets)
        before, after = kept.start, end - start - kept.stop
        assert before >= overlap // 2 or start == 0
        assert after >= overlap // 2 or end == snippets


def test_a_method_that_looks_at_single_snippets_is_the_same_in_blocks():
    mil, bags = Mil({"rgb": 6}, MilConfig(hidden=(4, 2))), [bag(70), bag(9), bag(33, 2)]
    whole = scorer_of(mil).scores(bags)
    for one, other in zip(scorer_of(mil, block=16).scores(bags), whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


class Stored(Mapping):
    """Streams that are made anew each time that one is read, as those on disk are; knows which are still there."""

    def __init__(self, number: int, made: list[ref]):
        self._number, self._made = number, made

    def __getitem__(self, name: str) -> torch.Tensor:
        assert name == "rgb", "this method reads no other"
        x = torch.randn(30, 6, generator=torch.Generator().manual_seed(self._number))
        self._made.append(ref(x))
        there.append(sum(one() is not None for one in self._made))
        return x

    def __iter__(self):
        return iter(["rgb", "pose"])

    def __len__(self) -> int:
        return 2


there: list[int] = []


def test_videos_of_a_running_camera_are_read_one_after_the_other():
    made: list[ref] = []
    bags = [
        Bag(streams=Stored(number, made), label=0, category="normal", frames=480, video=f"v{number}")
        for number in range(12)
    ]
    held = [replace(one, streams={"rgb": one.streams["rgb"]}) for one in bags]
    scorer = scorer_of(Mil({"rgb": 6}, MilConfig(hidden=(4, 2))))
    made.clear(), there.clear()
    found = scorer.running(bags)
    assert max(there) <= 3 < len(there)
    for one, other in zip(found, scorer.running(held), strict=True):
        np.testing.assert_array_equal(one, other)


class Lengths(nn.Module):
    """Scores a snippet by the mean of all that it is given, and remembers of what shape that was."""

    runs_on = ("rgb",)

    def __init__(self, **config):
        super().__init__()
        self.seen, self.config = [], SimpleNamespace(**config)

    def forward(self, streams):
        self.seen.append(tuple(streams["rgb"].shape))
        return streams["rgb"].mean((1, 2), keepdim=True).sigmoid()[..., 0].expand(-1, streams["rgb"].shape[1])


def test_a_network_is_asked_about_a_block_at_a_time(monkeypatch):
    method, one = Lengths(), bag(58)
    (scores,) = scorer_of(method, block=16).scores([one])
    x = Normalisation(kinds={"rgb": "l2"})({"rgb": one.streams["rgb"]})["rgb"]
    means = [x[first : first + 16].mean().sigmoid() for first in (0, 14, 28, 42)]
    np.testing.assert_allclose(scores, np.repeat(means, (15, 14, 14, 15)), atol=1e-6)
    assert method.seen == [(4, 16, 6)]
    method.seen.clear()
    monkeypatch.setattr(module, "TOGETHER", 32)
    np.testing.assert_allclose(scorer_of(method, block=16).scores([one])[0], scores, atol=1e-6)
    assert method.seen == [(2, 16, 6)] * 2


def test_a_method_of_segments_of_the_whole_video_is_given_all_of_it():
    method = Lengths(scored_whole=True)
    scorer = scorer_of(method, block=16)
    scorer.scores([bag(40)])
    assert method.seen == [(1, 40, 6)]
    assert scorer.block_of(40) is None
    assert scored_whole(Dakd({"rgb": 6, "flow": 4}, DakdConfig())), "the paper's 32 segments"
    assert not scored_whole(Dakd({"rgb": 6, "flow": 4}, DakdConfig(test="native")))


def test_only_what_is_scored_at_once_has_no_block():
    scorer = scorer_of(Lengths(), block=16)
    assert [scorer.block_of(16), scorer.block_of(17), scorer.block_of(17, "online")] == [None, 16, None]


def test_reconstruction_counts_each_snippet_of_a_long_video_once():
    class Means(Lengths):
        def reconstruction(self, streams):
            x = streams["rgb"].square().mean(-1)
            return {"pose": (x, 2 * x.shape[1] * torch.ones_like(x))}

    long = bag(58)
    x = Normalisation(kinds={"rgb": "l2"})({"rgb": long.streams["rgb"]})["rgb"].square().mean(-1)
    error = scorer_of(Means(), block=16).reconstruction_error([long])["pose"]
    assert error == pytest.approx(float(x.sum()) / (32 * 58), rel=1e-5)


# ------------------------------------------------------------------------------------------------- everything


METHODS = {
    "mil": lambda: Mil({"rgb": 6}, MilConfig(hidden=(4, 2))),
    "ur-dmu": lambda: UrDmu({"rgb": 6}, SMALL),
    "pi-vad": lambda: PiVad(
        {"rgb": 6, "pose": 3, "text": 2},
        PiVadConfig(ur_dmu=SMALL, latent=8, heads=2, wide_heads=2, modalities=("pose", "text")),
    ),
    "refinevad": lambda: RefineVad(
        {"rgb": 6}, RefineVadConfig(hidden=8, heads=2, feed_forward=8, head=4, gate=4, categories=("fall", "fight"))
    ),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("crops", [(), (3,)])
def test_one_pass_gives_what_each_ability_gives(name, crops):
    torch.manual_seed(0)
    method = METHODS[name]().eval()
    scorer, one = scorer_of(method), bag(11, *crops)
    scored = scorer.describe(one.streams)
    streams = scorer.normalisation({"rgb": one.streams["rgb"][None]})
    with torch.inference_mode():
        np.testing.assert_allclose(scored.scores, method(streams)[0], atol=1e-6)
        for ability in ("class_scores", "shift", "embeddings"):
            said = getattr(scored, ability)
            if not hasattr(method, ability):
                assert said is None
            else:
                np.testing.assert_allclose(said, getattr(method, ability)(streams)[0], atol=1e-6)
        shares = method.attributions(streams) if hasattr(method, "attributions") else {}
        assert set(scored.attributions) == set(shares)
        for key, share in shares.items():
            np.testing.assert_allclose(scored.attributions[key], share[0], atol=1e-6)
    assert scorer.describe(one.streams, ()).class_scores is None


@pytest.mark.parametrize("name", METHODS)
def test_online_each_output_is_that_of_the_last_window(name):
    torch.manual_seed(0)
    method = METHODS[name]().eval()
    scorer, one = scorer_of(method, window=4), bag(9)
    online = scorer.describe(one.streams, EVERYTHING, "online")
    for end in range(1, 10):
        last = scorer.describe({"rgb": one.streams["rgb"][max(0, end - 4) : end]})
        np.testing.assert_allclose(online.scores[end - 1], last.scores[-1], atol=1e-5)
        if last.class_scores is not None:
            np.testing.assert_allclose(online.class_scores[end - 1], last.class_scores[-1], atol=1e-5)
        for key, share in last.attributions.items():
            np.testing.assert_allclose(online.attributions[key][end - 1], share[-1], atol=1e-5)


def test_videos_of_a_length_share_a_pass_and_keep_their_order():
    torch.manual_seed(0)
    scorer = scorer_of(UrDmu({"rgb": 6}, SMALL).eval())
    bags = [bag(7), bag(5), bag(7, 2), bag(5), bag(1)]
    for one, alone in zip(scorer(bags, CLASSES), bags, strict=True):
        np.testing.assert_allclose(one.scores, scorer([alone])[0].scores, atol=1e-6)


@pytest.mark.parametrize("mode", ["whole", "online"])
def test_scores_that_are_no_numbers_are_not_taken_for_normal(mode):
    method = UrDmu({"rgb": 6}, SMALL).eval()
    with torch.no_grad():
        next(method.parameters()).fill_(torch.inf)
    scorer, one = scorer_of(method), bag(9)
    with pytest.raises(WsvadError, match="scores that are not finite numbers; check the features"):
        scorer.describe(one.streams, EVERYTHING, mode)
    with pytest.raises(WsvadError, match="not finite"):
        scorer.running([one])


@pytest.mark.parametrize("method", [UrDmu({"rgb": 6}, SMALL), Mil({"rgb": 6}, MilConfig(hidden=(16, 8)))])
def test_the_newest_score_is_the_last_of_all_whether_a_method_can_make_it_alone_or_not(method):
    scorer = scorer_of(method)
    windows = {"rgb": torch.randn(3, 5, 6)}
    torch.testing.assert_close(scorer.score_newest(windows), scorer.score_streams(windows)[:, -1], rtol=0, atol=1e-6)
    broken = {"rgb": torch.full((1, 5, 6), float("nan"))}
    with pytest.raises(WsvadError):
        scorer.score_newest(broken)
