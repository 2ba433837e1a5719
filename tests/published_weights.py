"""Files of weights as the public ones are, of random numbers."""

from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from wsvad.encoders.networks import i3d, i3d_resnet, raft, s3d, vggish
from wsvad.encoders.networks.published import Scheme

NETWORKS: dict[str, tuple[type[nn.Module], tuple[Scheme, ...]]] = {
    "i3d": (i3d.I3D, i3d.SCHEMES),
    "i3d-resnet": (i3d_resnet.I3DResNet50, i3d_resnet.SCHEMES),
    "s3d": (s3d.S3D, s3d.SCHEMES),
    "raft": (raft.RAFT, raft.SCHEMES),
    "vggish": (vggish.VGGish, vggish.SCHEMES),
}


@cache
def random_network(name: str) -> nn.Module:
    """A network of random weights in evaluation mode, whose batch normalisation does something."""
    torch.manual_seed(0)
    network = NETWORKS[name][0]().eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, 0.0, 0.2)
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return network


def published(name: str, scheme: int = 0) -> dict[str, Tensor]:
    """Its weights under the names of one of the public files."""
    names = NETWORKS[name][1][scheme]
    return {names.name(ours): tensor for ours, tensor in random_network(name).state_dict().items()}


def write_weights(path: Path, name: str, scheme: int = 0) -> Path:
    save_file(published(name, scheme), path) if path.suffix == ".safetensors" else torch.save(
        published(name, scheme), path
    )
    return path
