"""Captions to feature files: a text stream of a whole dataset, by an encoder of captions. One that is fitted (`lsa`)
learns from the dataset's training videos alone."""

import hashlib
import json
from pathlib import Path

import numpy as np

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.encoders.build import ENCODERS, argument_of
from wsvad.encoders.captions_file import Captioned, read_captions, read_passport
from wsvad.encoders.encoder import CaptionEncoder
from wsvad.encoders.lsa import Lsa
from wsvad.errors import WsvadError
from wsvad.features import store
from wsvad.features.store import Passport, StoredFeatures, feature_path, save
from wsvad.files import is_file, overlong
from wsvad.locks import writing
from wsvad.progress import track
from wsvad.video.clock import SNIPPET, snippet_count


def extract_captions(
    spec: str,
    dataset: Dataset,
    out: Path | str,
    stream: str = "rgb",
    width: int = 512,
    *,
    snippet_clock: bool = False,
) -> CaptionEncoder:
    """Write the stream of all videos, training and test, by one encoder of captions.

    A video of F frames with T captions is divided into T segments of ⌈F / T⌉ frames, or of as many as the captions file
    says, the last one shorter: caption i is about frames [i·⌈F/T⌉, (i+1)·⌈F/T⌉).

    Args:
        spec: `lsa:captions.jsonl`, `sentence:MODEL:captions.jsonl`, or another encoder of captions; see
            `read_captions`. `lsa` is fitted to the training videos' captions, once a caption on either clock.
        out: the folder of features.
        stream: the stream's name there.
        width: D of `lsa`, see `Lsa.fit`.
        snippet_clock: False, where captions are the only stream: a row a caption, on a clock of its own with a stride
            of ⌈F / T⌉ frames. True, where the stream stands beside others (`text` beside `rgb`): a row a snippet of 16
            frames, ⌈F / 16⌉ of them, each the caption that covers the frame in the middle of the snippet.

    A fitted encoder is written first, as `out/<stream>/lsa.safetensors`. Called again, it is used as it is, and so
    are the feature files made by it from the same captions; what is missing is added.

    Raises:
        WsvadError: a video has no captions, or its frames are known neither by the labels nor by the captions; `out`
            holds a stream that was made in another way; as `read_captions`, `Lsa.fit` and the encoder.
    """
    kind, argument = ENCODERS[spec.partition(":")[0]], argument_of(spec)
    file = kind.captions(argument)
    captioned = read_captions(file)
    _check_names(file, captioned, dataset, Path(out), stream)
    spans = {video.name: _span(file, video, captioned[video.name]) for video in dataset.videos}
    captions = {video.name: captioned[video.name].captions for video in dataset.videos}
    training = {video.name: captions[video.name] for video in dataset.train}
    fitted = Path(out) / stream / "lsa.safetensors"
    encoder: CaptionEncoder = _fitted(training, fitted, width) if kind is Lsa else kind(argument)
    described = encoder.passport()
    settings = described["settings"] | ({"clock": "snippet"} if snippet_clock else {})  # type: ignore[operator]
    settings |= {"captions": written} if (written := read_passport(file)) else {}
    passports = {
        name: Passport(
            encoder=str(described["encoder"]),
            width=encoder.width,
            weights=str(described["weights"]),
            settings=settings,
            window=None,
            stride=SNIPPET if snippet_clock else span,
            frames=frames,
            source=hashlib.sha256(json.dumps(captions[name]).encode()).hexdigest(),
        )
        for name, (frames, span) in spans.items()
    }
    places = {name: feature_path(out, stream, name) for name in passports}
    if missing := [name for name, passport in passports.items() if not _is_there(places[name], passport)]:
        with writing(out):
            for name in track(missing, "captions"):
                rows = encoder.encode(captions[name])
                if snippet_clock:
                    rows = rows[_caption_of_snippet(*spans[name])]
                save(places[name], StoredFeatures(features=rows, passport=passports[name]))
    return encoder


def _check_names(file: Path, captioned: dict[str, Captioned], dataset: Dataset, out: Path, stream: str) -> None:
    """All videos have captions, and names that features can have."""
    missing = [video.name for video in dataset.videos if video.name not in captioned]
    if missing:
        raise WsvadError(
            f"{file}: {len(missing)} of {len(dataset.videos)} videos have no captions, the first is "
            f"{missing[0]}; add a line for each, or remove them from the labels"
        )
    for video in dataset.videos:
        if long := overlong(feature_path(out, stream, video.name)):
            raise WsvadError(f"{file}: the features of {video.name} would need {long}; shorten the name")


def _fitted(training: dict[str, list[str]], path: Path, width: int) -> Lsa:
    """The encoder of these captions: read where it is there, fitted and written where it is not."""
    if not path.exists():
        if not training:
            raise WsvadError(
                f"{path}: lsa learns from the captions of training videos, and nothing says which these are; add "
                "labels.csv, or use sentence:MODEL:captions.jsonl"
            )
        with writing(path.parents[1]):
            encoder = Lsa.fit(training, width=width)
            encoder.save(path)
        return encoder
    encoder = Lsa.load(path)
    if encoder.fitted_to != Lsa.fingerprint(training, width):
        raise WsvadError(
            f"{path}: fitted to other captions or settings; delete {path.parent}, or choose another folder for features"
        )
    return encoder


def _is_there(path: Path, wanted: Passport) -> bool:
    """Whether a whole feature file of these captions is there; one of older captions is to be made again.

    Raises:
        WsvadError: there is one that was made in another way.
    """
    if not is_file(path):
        return False
    found = store.read_passport(path)
    if difference := found.difference(wanted):
        raise WsvadError(
            f"{path}: made from other captions or settings ({difference}); delete {path.name} and the files "
            "made with it, or choose another folder for features"
        )
    return found == wanted


def _caption_of_snippet(frames: int, span: int) -> np.ndarray:
    """The caption that covers the frame in the middle of each snippet, `(⌈F / 16⌉,)`."""
    starts = np.arange(snippet_count(frames)) * SNIPPET
    return (starts + np.minimum(starts + SNIPPET, frames)) // 2 // span


def _span(file: Path, video: LabelledVideo, captioned: Captioned) -> tuple[int, int]:
    """F, and the frames of a caption."""
    frames = video.frames or captioned.frames
    if frames is None:
        raise WsvadError(
            f"{file}: the number of frames of {video.name} is not known; add a column 'frames' to the labels"
        )
    count = len(captioned.captions)
    span = captioned.stride or -(-frames // count)
    if captioned.stride and -(-frames // span) != count:
        raise WsvadError(
            f"{file}: {video.name} has {frames:,} frames by the labels, but {count:,} captions of {span:,} frames; "
            "write the captions of this very video"
        )
    return frames, span
