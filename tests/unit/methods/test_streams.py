"""Several streams side by side: the method of one stream that holds them all."""

import pytest
import torch

from wsvad.errors import UsageError, WsvadError
from wsvad.methods.method import Batch
from wsvad.methods.mil import Mil, MilConfig
from wsvad.methods.pi_vad import PiVadConfig
from wsvad.methods.streams import side_by_side
from wsvad.methods.ur_dmu import UrDmu, UrDmuConfig

SMALL = {"hidden": 16, "heads": 2, "feed_forward": 16, "abnormal_slots": 5, "normal_slots": 5, "head": 8}
KINDS = {
    "ur-dmu": (UrDmu, lambda *streams: UrDmuConfig(**SMALL, **({"streams": streams} if streams else {}))),
    "mil": (Mil, lambda *streams: MilConfig(hidden=(8, 4), streams=streams)),
}
WIDTHS = {"rgb": 6, "audio": 3}


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("crops", [(), (5,)])
def test_two_streams_are_one_that_is_as_wide_as_both(name, crops):
    kind, configured = KINDS[name]
    torch.manual_seed(0)
    both = kind(WIDTHS, configured("rgb", "audio")).eval()
    one = kind({"rgb": 9}, configured()).eval()
    one.load_state_dict(both.state_dict())
    assert both.learns_from == both.runs_on == ("rgb", "audio")
    rgb, audio = torch.randn(4, *crops, 20, 6), torch.randn(4, 20, 3)
    shared = audio[:, None].expand(4, 5, 20, 3) if crops else audio
    joined = {"rgb": torch.cat([rgb, shared], -1)}
    assert torch.equal(both({"rgb": rgb, "audio": audio}), one(joined))
    assert torch.equal(both({"audio": shared, "rgb": rgb}), one(joined))
    if not crops:
        losses = []
        for method, streams in ((both, {"rgb": rgb, "audio": audio}), (one, joined)):
            torch.manual_seed(1)
            batch = Batch(streams=streams, labels=torch.tensor([0.0, 0.0, 1.0, 1.0]))
            losses.append(method.loss(batch)["total"])
        assert losses[0] == losses[1]


def test_streams_that_do_not_go_together_are_named():
    with pytest.raises(WsvadError, match=r"the stream 'audio' is 19 snippets × 3, and should be 20 × 3"):
        side_by_side({"rgb": torch.zeros(1, 20, 6), "audio": torch.zeros(1, 19, 3)}, WIDTHS)
    for wrong in (("rgb", "rgb"), ()):
        with pytest.raises(UsageError, match="streams: one or more, each once"):
            UrDmuConfig(streams=wrong)
    with pytest.raises(UsageError, match=r"ur_dmu.streams: rgb alone; other streams are modalities of pi-vad"):
        PiVadConfig(ur_dmu=UrDmuConfig(streams=("rgb", "audio")))
    with pytest.raises(WsvadError, match="public checkpoints read rgb, not rgb and audio; leave the streams out"):
        UrDmu.from_official({}, UrDmuConfig(streams=("rgb", "audio")))
