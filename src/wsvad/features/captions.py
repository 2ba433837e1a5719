"""Captions to feature files: a text stream of a whole dataset, by an encoder fitted on its training videos alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from wsvad.encoders.lsa import Lsa, read_captions
from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, save

if TYPE_CHECKING:
    from wsvad.datasets.dataset import Dataset, LabelledVideo


def extract_captions(
    captions_file: Path | str, dataset: "Dataset", out: Path | str, stream: str = "rgb", width: int = 512
) -> Lsa:
    """Fit `lsa` on the training videos' captions and write the stream of all videos, training and test.

    A video of F frames with T captions is divided into T segments of ⌈F / T⌉ frames, the last one shorter: caption i
    is about frames [i·⌈F/T⌉, (i+1)·⌈F/T⌉). The fitted encoder is kept as `out/<stream>/lsa.safetensors`.

    Raises:
        WsvadError: a video has no captions, or no `frames` in its `labels.csv`; as
            `read_captions` and `Lsa.fit`.
    """
    captions = read_captions(captions_file)
    missing = [video.name for video in dataset.videos if video.name not in captions]
    if missing:
        raise WsvadError(
            f"{captions_file}: {len(missing)} of {len(dataset.videos)} videos have no captions, the first is "
            f"{missing[0]}; add a line for each, or take them out of the labels"
        )
    strides = {video.name: _stride(captions_file, video, len(captions[video.name])) for video in dataset.videos}
    encoder = Lsa.fit({video.name: captions[video.name] for video in dataset.train}, width=width)
    described = encoder.passport()
    for video in dataset.videos:
        assert video.frames is not None  # or it would have no stride
        passport = Passport(
            encoder=encoder.name,
            width=encoder.width,
            weights=str(described["weights"]),
            settings=described["settings"],  # type: ignore[arg-type]
            window=None,
            stride=strides[video.name],
            frames=video.frames,
        )
        features = StoredFeatures(features=encoder.encode(captions[video.name]), passport=passport)
        save(feature_path(out, stream, video.name), features)
    encoder.save(Path(out) / stream / "lsa.safetensors")
    return encoder


def _stride(captions_file: Path | str, video: "LabelledVideo", captions: int) -> int:
    """⌈F / T⌉ frames a caption."""
    if video.frames is None:
        raise WsvadError(
            f"{captions_file}: how many frames {video.name} has is not known; add a column 'frames' to the labels"
        )
    if video.frames < 1:
        raise WsvadError(f"{captions_file}: {video.name} has {video.frames} frames; correct the column 'frames'")
    return -(-video.frames // captions)
