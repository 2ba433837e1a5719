"""Captions to feature files: a text stream of a whole dataset, by an encoder fitted on its training videos alone."""

import hashlib
import json
from pathlib import Path

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.encoders.lsa import Lsa, read_captions
from wsvad.errors import WsvadError
from wsvad.features.store import Passport, StoredFeatures, feature_path, read_passport, save


def extract_captions(
    captions_file: Path | str, dataset: Dataset, out: Path | str, stream: str = "rgb", width: int = 512
) -> Lsa:
    """Fit `lsa` on the training videos' captions and write the stream of all videos, training and test.

    A video of F frames with T captions is divided into T segments of ⌈F / T⌉ frames, the last one shorter: caption i
    is about frames [i·⌈F/T⌉, (i+1)·⌈F/T⌉).

    The fitted encoder is written first, as `out/<stream>/lsa.safetensors`. Called again, it is used as it is, and so
    are the feature files made by it from the same captions; what is missing is added.

    Raises:
        WsvadError: a video has no captions, or no `frames` in the labels; `out` holds a stream that was made in another
            way; as `read_captions` and `Lsa.fit`.
    """
    captions = read_captions(captions_file)
    missing = [video.name for video in dataset.videos if video.name not in captions]
    if missing:
        raise WsvadError(
            f"{captions_file}: {len(missing)} of {len(dataset.videos)} videos have no captions, the first is "
            f"{missing[0]}; add a line for each, or take them out of the labels"
        )
    spans = {video.name: _span(captions_file, video, len(captions[video.name])) for video in dataset.videos}
    training = {video.name: captions[video.name] for video in dataset.train}
    encoder = _fitted(training, Path(out) / stream / "lsa.safetensors", width)
    described = encoder.passport()
    for name, (frames, stride) in spans.items():
        passport = Passport(
            encoder=encoder.name,
            width=encoder.width,
            weights=str(described["weights"]),
            settings=described["settings"],  # type: ignore[arg-type]
            window=None,
            stride=stride,
            frames=frames,
            source=hashlib.sha256(json.dumps(captions[name]).encode()).hexdigest(),
        )
        path = feature_path(out, stream, name)
        if not _is_there(path, passport):
            save(path, StoredFeatures(features=encoder.encode(captions[name]), passport=passport))
    return encoder


def _fitted(training: dict[str, list[str]], path: Path, width: int) -> Lsa:
    """The encoder of these captions: read where it is there, fitted and written where it is not."""
    if not path.exists():
        encoder = Lsa.fit(training, width=width)
        encoder.save(path)
        return encoder
    encoder = Lsa.load(path)
    if encoder.fitted_to != Lsa.fingerprint(training, width):
        raise WsvadError(f"{path}: fitted to other captions or settings; delete {path.parent}, or choose another --out")
    return encoder


def _is_there(path: Path, wanted: Passport) -> bool:
    """Whether a whole feature file of these captions is there; one of older captions is to be made again.

    Raises:
        WsvadError: there is one that was made in another way.
    """
    if not path.exists():
        return False
    found = read_passport(path)
    if difference := found.difference(wanted):
        raise WsvadError(
            f"{path}: made in another way than these captions would ({difference}); delete {path.name} and the files "
            "made with it, or choose another --out"
        )
    return found == wanted


def _span(captions_file: Path | str, video: LabelledVideo, captions: int) -> tuple[int, int]:
    """F, and the ⌈F / T⌉ frames of a caption."""
    if video.frames is None:
        raise WsvadError(
            f"{captions_file}: how many frames {video.name} has is not known; add a column 'frames' to the labels"
        )
    return video.frames, -(-video.frames // captions)
