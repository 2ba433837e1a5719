"""Make sure that a dataset's streams are on disk, whatever they are made from."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.datasets.folder import NONE, open_folder, unlabelled_videos
from wsvad.encoders.build import inputs_of, resolved, split
from wsvad.errors import UsageError, WsvadError
from wsvad.extraction.captions import extract_captions
from wsvad.extraction.extract import extract
from wsvad.extraction.jobs import Engine
from wsvad.features.source import open_features, released
from wsvad.features.store import Passport
from wsvad.files import path_of
from wsvad.video.decoding import Decode
from wsvad.video.resample import resampling_rate

logger = logging.getLogger(__name__)


def extract_dataset(
    data: Path | str | Dataset, streams: Mapping[str, str], out: Path | str, *, labels: Path | str | None = None,
    workers: int | None = None, raw_rate: Fraction | float | None = None, rate: Fraction | float | None = None,
    device: str = "auto", engine: Engine | None = None, gate: bool = False, decode: Decode = "exact",
) -> dict[str, str]:  # fmt: skip
    """Turn videos into features, one file a video and stream; interrupted and called again, it resumes.

    Args:
        data: a folder of videos, with labels or without, or a dataset (`open_dataset`).
        streams: stream → encoder, as in `{"rgb": "motion"}`; see `wsvad encoders`.
        out: feature folder.
        labels: labels.csv, if it is not in the folder.
        workers: processes; by default one for each core.
        raw_rate: frames per second of raw streams that do not say it.
        device: where networks run, see `extract`.
        rate: frames per second that videos are resampled to, by their timestamps; None for their own.
        engine: who does the work, in place of workers and a device of this machine: `engine_of("ray")`.
        gate: whether stretches in which nothing moves are left out, see `extract`.
        decode: how videos are decoded, see `extract`.

    Returns:
        Videos that could not be encoded, with the reason.

    Raises:
        WsvadError: as `open_folder`, `prepare`.
    """
    specs, out = resolved(streams), path_of("out", out)
    if isinstance(data, Dataset):
        return prepare(
            data,
            specs,
            out,
            workers=workers,
            raw_rate=raw_rate,
            rate=rate,
            device=device,
            engine=engine,
            gate=gate,
            decode=decode,
        )
    folder = path_of("data", data)
    return extract_folder(
        folder,
        specs,
        out,
        labels=labels,
        workers=workers,
        raw_rate=raw_rate,
        rate=rate,
        device=device,
        engine=engine,
        gate=gate,
        decode=decode,
    )[0]


def extract_folder(
    folder: Path, specs: Mapping[str, str], out: Path, *, labels: Path | str | None = None,
    workers: int | None = None, raw_rate: Fraction | float | None = None, rate: Fraction | float | None = None,
    device: str = "auto", engine: Engine | None = None, gate: bool = False, decode: Decode = "exact",
) -> tuple[dict[str, str], int]:  # fmt: skip
    """The same of a folder, with resolved encoders: what could not be encoded or reached, with the reason, and how many
    there were in all."""
    left: dict[Path, str] = {}
    loose = unlabelled_videos(folder, left) if labels is None else []
    if loose:
        # Nothing is learned from videos of which nothing is known.
        videos = (LabelledVideo(name=name, label=0, category="normal", split="test", path=path) for name, path in loose)
        dataset = Dataset(name=folder.name, videos=tuple(videos))
    else:
        need_videos = not all(inputs_of(spec) == {"captions"} for spec in specs.values())
        dataset = open_folder(folder, labels, NONE, need_videos=need_videos, by_scene=False)
    failed = prepare(
        dataset, specs, out, workers=workers, raw_rate=raw_rate, rate=rate, device=device, engine=engine, gate=gate,
        decode=decode,
    )  # fmt: skip
    # Files are there, and were written by 'wsvad score': nothing that somebody wants features of.
    lost = {str(path): reason for path, reason in left.items() if loose and not path.is_file()}
    return failed | lost, len(dataset.videos) + len(lost)


def prepare(
    dataset: Dataset,
    streams: Mapping[str, str],
    out: Path,
    *,
    workers: int | None = None,
    raw_rate: Fraction | float | None = None,
    rate: Fraction | float | None = None,
    device: str = "auto",
    engine: Engine | None = None,
    gate: bool | None = None,
    decode: Decode = "exact",
) -> dict[str, str]:
    """Extract what is missing of a dataset's streams; those of a public release in `out` are left as they are.

    Args:
        streams: stream → resolved encoder specification.
        out: feature folder.
        gate: whether stretches in which nothing moves are left out; None = where it was so in features that are there.
        workers, raw_rate, rate, device, engine, decode: see `extract`.

    Returns:
        Videos that could not be encoded, with the reason.

    Videos that are not there but have their features are taken as they are.

    Raises:
        UsageError: captions are joined with an encoder of frames; or a rate is given, and not all is made from frames,
            or was made with a gate.
        WsvadError: neither a video nor its features are there, or these are at another rate; as `extract`.
    """
    if dataset.understood:
        logger.info(dataset.understood)
    streams = {stream: spec for stream, spec in streams.items() if stream not in released(out)}
    from_captions = {stream: spec for stream, spec in streams.items() if "captions" in inputs_of(spec)}
    if rate is not None and (from_captions or not streams):
        clock = "captions have the clock of the videos' own frames" if from_captions else "the features are there"
        raise UsageError(f"--rate {float(rate):g}: {clock}, and are not resampled; leave it out")
    for stream, spec in from_captions.items():
        if len(split(spec)) > 1:
            raise UsageError(f"'{spec}': captions have their own timing; use them alone, or as another stream")
        extract_captions(spec, dataset, out, stream=stream, snippet_clock=stream != "rgb")
    from_video = {stream: spec for stream, spec in streams.items() if stream not in from_captions}
    if not from_video:
        return {}
    found = [(video.name, video.path) for video in dataset.videos if video.path is not None]
    source = open_features(out)
    lacking = [
        source.path(video.name, stream)
        for video in dataset.videos
        for stream in from_video
        if video.path is None and not source.has(video.name, stream)
    ]
    if lacking:
        raise WsvadError(f"{lacking[0]}: neither these features nor the video exists; add one of the two")
    if wanted := resampling_rate(rate):
        for video, stream in ((v.name, s) for v in dataset.videos for s in from_video if v.path is None):
            if (own := source.passport(video, stream).rate) != str(wanted):
                raise WsvadError(
                    f"{source.path(video, stream)}: is at {own or 'the frame rate of the video'}, not at --rate "
                    f"{float(wanted):g}, and the video is not there; add it, or leave --rate out"
                )
    if gate is None:
        gate = bool((there := first_passport(dataset, from_video, out)) and there.gate)
        if gate and wanted:
            raise UsageError(
                f"--rate {float(wanted):g}: the features in {out} were made with --gate, of videos at their own rate; "
                "leave it out"
            )
    return (
        extract(
            found,
            from_video,
            out,
            workers=workers,
            raw_rate=raw_rate,
            rate=rate,
            device=device,
            engine=engine,
            gate=gate,
            decode=decode,
        ).failed
        if found
        else {}
    )


def first_passport(dataset: Dataset, streams: Collection[str], features: Path) -> Passport | None:
    """How the first of the features that are there were made; None where there are none."""
    source = open_features(features)
    there = ((video.name, stream) for stream in streams for video in dataset.videos if source.has(video.name, stream))
    return next((source.passport(*one) for one in there), None)


def without(dataset: Dataset, failed: Mapping[str, str]) -> Dataset:
    """The dataset less the videos that could not be encoded."""
    return replace(dataset, videos=tuple(video for video in dataset.videos if video.name not in failed))
