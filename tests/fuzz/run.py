"""A small run whose encoder reads video, for the kinds that score."""

from pathlib import Path

import torch

from wsvad.encoders import build
from wsvad.extraction.encode import encode_video
from wsvad.methods.mil import Mil, MilConfig
from wsvad.runs.model import TrainedMethod, save_method
from wsvad.runs.normalisation import Normalisation


def save_run(folder: Path, video: Path) -> None:
    """Write one that was trained on nothing, for features as those of a video."""
    encoded = encode_video(video, {"rgb": build("motion")})["rgb"]
    torch.manual_seed(0)
    widths = {"rgb": encoded.features.shape[-1]}
    save_method(
        folder,
        TrainedMethod(
            name="mil",
            method=Mil(widths, MilConfig(hidden=(8, 4))),
            widths=widths,
            normalisation=Normalisation(kinds={"rgb": "l2"}),
            encoders={"rgb": "motion"},
            passports={"rgb": encoded.passport.identity()},
        ),
    )
