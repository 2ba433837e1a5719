"""A run folder: the only module that knows its files.

    config.yaml          the command: method, configuration, protocol, encoders, where the data was
    fingerprint.json     what the model was made from, see `wsvad.runs.fingerprint`
    unfinished.json      the same of fits that are under way; it becomes fingerprint.json at the end
    seed-N/              the fits of each seed, see `SeedFolder`
    auto/                what fits came to by which the method was chosen, see `Trial`
    log.jsonl            loss and metrics of all seeds, a line each point
    metrics.json         mean and spread over seeds
    calibration.json     scores of normal videos by fits that have not seen them, and of known events, for another
                         threshold
    report.html
    threshold.html       what each threshold does
    model.safetensors    weights and normalisation
    model.json           everything else that scoring needs; written last of all, so that a folder with it is whole

While a finished run is made again, its model stays as it is until the new one is ready.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from wsvad.datasets.dataset import Dataset, LabelledVideo
from wsvad.errors import UsageError, WsvadError
from wsvad.features.source import FeatureSource
from wsvad.files import (
    is_file,
    local_only,
    read_json,
    read_text,
    read_yaml,
    sha256,
    write_json,
    write_text,
)
from wsvad.methods import METHODS
from wsvad.runs.fingerprint import Changes, changes
from wsvad.runs.model import (
    TrainedMethod,
    load_method,
    read_calibration,
    save_calibration,
    save_method,
    save_weights,
    scoring_hash,
)
from wsvad.runs.records import (
    Fingerprint,
    LogRow,
    Metrics,
    NormalRecord,
    ScoredVideo,
    Settings,
    Tested,
    TrialRecord,
)
from wsvad.runs.sealed import own_file, own_folder, sealed
from wsvad.runs.seed import SeedFolder, read_record
from wsvad.shapes import checked
from wsvad.spelling import short
from wsvad.storage import place
from wsvad.version import __version__

logger = logging.getLogger(__name__)

FREE = ("source", "features", "wsvad")
"""Settings that may differ when a run is continued: where things lie. What lies there is in the fingerprint."""
AGAIN = "delete it and run again, or take the run from where it was copied"
"""What to do about a damaged file."""
RUNS = ("teacher", "core")
"""Settings that name another run: with or without is another command, where it lies is not."""


class RunFolder:
    """What `wsvad train`, `fit`, `bench`, `ablate`, `distill` and `import` write."""

    def __init__(self, path: Path | str):
        self.path = place(path)
        local_only(self.path)

    # ------------------------------------------------------------------------------------------ what is there

    @property
    def finished(self) -> bool:
        """Whether a whole run is there."""
        return is_file(self.path / "model.json")

    @property
    def exists(self) -> bool:
        """Whether a run is there, whole or not."""
        return self.finished or is_file(self.path / "config.yaml")

    @property
    def under_way(self) -> bool:
        """Whether it is being made, or made again; what is in the folders of seeds is then not of the finished run."""
        return (self.path / "unfinished.json").is_file()

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def threshold_page(self) -> Path:
        return self.path / "threshold.html"

    @property
    def features(self) -> Path:
        """Where features are kept by default."""
        return self.path / "features"

    def load(self) -> TrainedMethod:
        """The trained method: the first seed's after its last iteration.

        Raises:
            WsvadError: it is not a finished run, was written by a newer version, or its weights do not fit.
        """
        return load_method(self.path)

    def of_seed(self, seed: int) -> TrainedMethod:
        """The method of one seed; the run's own, where it has none of that seed (a run that was imported), or is being
        made again, as the seeds are then those of another run."""
        own = self.seed(seed)
        return own.load() if own.has_model and not self.under_way else self.load()

    def each_seed(self) -> Iterator[TrainedMethod]:
        """The methods of all seeds; the run's own, where it keeps no seeds, or is being made again."""
        folders = [] if self.under_way else sorted(path.parent for path in self.path.glob("seed-*/model.json"))
        return map(load_method, folders or [self.path])

    def seed(self, seed: int) -> SeedFolder:
        return SeedFolder(own_folder(self.path / f"seed-{seed}"))

    def trial(self, name: str) -> "Trial":
        return Trial(own_folder(self.path / "auto"), name)

    def read_settings(self) -> dict[str, Any]:
        """The command that made it; empty where there is none.

        Raises:
            WsvadError: config.yaml is damaged.
        """
        path = self.path / "config.yaml"
        if own_file(path) is None:
            return {}
        found = read_yaml(path, "delete it and train again") or {}
        return checked(path, found, Settings, "delete it and train again")

    def read_metrics(self) -> dict[str, Any] | None:
        """`metrics.json`; None for a run that stores none."""
        return self._read("metrics.json", Metrics)

    def read_calibration(self) -> list[dict[str, Any]] | dict[str, Any] | None:
        """Scores of normal videos for calibration, and of known events; None where none were held out."""
        # Runs of format 2 have one list, under another name.
        return self._read("calibration.json", NormalRecord) or self._read("held_out.json", list[ScoredVideo])

    def read_log(self) -> list[dict[str, Any]]:
        """A line for each point of each fit."""
        path = self.path / "log.jsonl"
        if own_file(path) is None:
            raise WsvadError(f"{path}: there is no such file; {AGAIN}")
        return [
            checked(path, read_json(path, line, remedy=AGAIN), LogRow, AGAIN, f"line {number}")
            for number, line in enumerate(read_text(path).splitlines(), 1)
        ]

    def fingerprint(self) -> dict[str, Any]:
        """What the model was made from; empty for a run that did not record it."""
        return self._read("fingerprint.json", Fingerprint) or {}

    def split(self) -> dict[str, str]:
        """Video → `train` or `test`, of the last call, finished or not; empty where that is not recorded."""
        record = self._read("unfinished.json", Fingerprint) or self.fingerprint()
        sides = (("train", record.get("training", {})), ("test", record.get("test", {})))
        return {name: side for side, videos in sides for name in videos}

    def division(self) -> dict[str, Any]:
        """Arguments of `open_dataset` that divide the videos of its own dataset as the last call did."""
        split = self.split()
        # Runs of format 2 did not record their split; the seed draws it again, as it was drawn then.
        seed = 0 if split else self.read_settings().get("protocol", {}).get("first_seed", 0)
        return {"seed": seed, "split": split, "by_scene": bool(split)}

    def weights_hash(self) -> str:
        """A hash of the weights of all seeds, as far as they are the run's."""
        digest = hashlib.sha256()
        seeds = [] if self.under_way else self.path.glob("seed-*/model.safetensors")
        for path in sorted([*self.path.glob("model.safetensors"), *seeds]):
            digest.update(sha256(path).encode())
        return digest.hexdigest()

    def scoring_hash(self) -> str:
        """A hash of all that decides how the run's detector scores a video; another threshold leaves it as it is."""
        return scoring_hash(self.path)

    def costs(self) -> dict[str, Any]:
        """`seconds` that the fits of all seeds took (since they were last taken up), and `peak_memory`, the most bytes
        that one held; None where that was not measured."""
        seeds = (SeedFolder(path.parent) for path in self.path.glob("seed-*/timing.json"))
        each = [seed.read("timing") for seed in seeds]
        most = max((one.get("peak_memory", 0) for one in each), default=0)
        return {"seconds": sum(one["seconds"] for one in each), "peak_memory": most or None}

    def refuse_trained_on(self, dataset: Dataset, source: FeatureSource) -> None:
        """Make sure that none of the test videos was learned from, neither under its name, unless that is of another
        video there, nor under another one.

        Raises:
            UsageError: one was; or, of a run that did not record its training videos, one of its own dataset is not
                among those that it was tested on.
        """
        record, videos = self.fingerprint(), dataset.test
        tested = set() if record else self._tested_before()
        if tested & {video.name for video in dataset.videos} and (
            unknown := [video.name for video in videos if video.name not in tested]
        ):
            raise UsageError(
                f"{self.path}: may have been trained on {len(unknown)} of the {len(videos)} test videos, the first is "
                f"{unknown[0]}; it recorded only which videos it was tested on: give those a split 'test', the others "
                "'train'"
            )
        training, features = record.get("training", {}), record.get("features", {})
        # What was decoded from a video tells the video; two videos may have the same captions.
        decoded = [stream for stream, passport in features.items() if passport["decoder"]]
        contents = {(s, one["content"].get(s)) for one in training.values() for s in decoded}

        def content(video: LabelledVideo) -> dict[str, str]:
            return {s: source.content(video.name, s) for s in features if source.has(video.name, s)}

        def learned(video: LabelledVideo) -> bool:
            own, there = content(video), training.get(video.name)
            same_name = there is not None and not any(there["content"].get(s, it) != it for s, it in own.items())
            return same_name or any((s, own[s]) in contents for s in decoded if s in own)

        if found := [video.name for video in videos if learned(video)]:
            raise UsageError(
                f"{self.path}: was trained on {len(found)} of the {len(videos)} test videos, the first is {found[0]}; "
                "measure it on others, or give the videos of its training a split 'train'"
            )

    def _tested_before(self) -> set[str]:
        """The test videos of a run of format 2, whose results name them."""
        results = (read_record(path, Tested, AGAIN) for path in self.path.glob("seed-*/result.json"))
        return {name for result in results for name in (result or {}).get("test_scores", ())}

    # ------------------------------------------------------------------------------------------ making it

    def claim(self, settings: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> Changes:
        """Begin a run here or go on with it: what no longer holds is removed, and said.

        Args:
            settings: the command, plain values.
            fingerprint: what it will be made from.

        Raises:
            WsvadError: the folder holds a run with other settings, or one that did not record its data.
        """
        self.refuse_other(settings)
        settings = json.loads(json.dumps({"wsvad": __version__, **settings}))
        fingerprint = json.loads(json.dumps(fingerprint))
        before = self.read_settings()
        record = self._read("unfinished.json", Fingerprint) or self.fingerprint()
        if before and not record and any(self.path.glob("seed-*/*.json")):
            raise WsvadError(
                f"{self.path}: the run there was made by wsvad {before.get('wsvad')}, which did not record its data; "
                "give another --out, or delete the folder"
            )
        found = changes(record, fingerprint) if record else Changes()
        if before and any(before.get(key) != settings.get(key) for key in ("method", "config")) and "auto" in settings:
            what = f"method auto chooses {settings['method']} ({before.get('method')} before)"
            found = replace(found, sentences=(*found.sentences, what), training=True)
        self._forget(found)
        write_json(self.path / "unfinished.json", sealed(fingerprint))
        write_text(self.path / "config.yaml", yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
        return found

    def refuse_other(self, settings: Mapping[str, Any]) -> None:
        """Make sure that no run with other settings is here; as `claim`, before there are features.

        Raises:
            WsvadError: one is.
        """
        settings, before = json.loads(json.dumps(settings)), self.read_settings()
        if not before:
            if self.finished:
                raise WsvadError(f"{self.path}: holds another run; give another --out, or delete the folder")
            return
        before, settings = _asked(before), _asked(settings)
        for key in {**before, **settings}:
            ours, theirs = (bool(one.get(key)) if key in RUNS else one.get(key) for one in (settings, before))
            if key not in FREE and ours != theirs:
                raise WsvadError(
                    f"{self.path / 'config.yaml'}: the run there has another '{key}' "
                    f"({_difference(before.get(key), settings.get(key))}); give another --out, or delete the folder"
                )

    def _forget(self, found: Changes) -> None:
        """Remove what changed data made untrue, and say so."""
        if not found.sentences:
            return
        again = "training again" if found.training else "fitting again" if found.tested else "measuring again"
        logger.info("%s: the data has changed, so %s: %s", self.path, again, "; ".join(found.sentences))
        for seed in map(SeedFolder, map(own_folder, sorted(self.path.glob("seed-*")))):
            if found.training:
                seed.forget_everything()
            elif found.tested:
                seed.forget_fit()
            else:
                seed.forget_result()

    def finish(
        self,
        trained: TrainedMethod,
        *,
        metrics: Mapping[str, Any] | None = None,
        log: Iterable[str] = (),
        calibration: Any = None,
        report: Callable[[Path], object] | None = None,
    ) -> None:
        """Write what the run came to; the model last.

        Args:
            trained: with its calibration.
            metrics: content of metrics.json.
            log: lines of log.jsonl.
            calibration: content of calibration.json.
            report: writes the page to the path that it is given.
        """
        (self.path / "model.json").unlink(missing_ok=True)
        of = {"weights": save_weights(self.path, trained)}
        if self.under_way:
            (self.path / "unfinished.json").replace(self.path / "fingerprint.json")
        if metrics is not None:
            write_json(self.path / "metrics.json", sealed({**metrics, **of}))
            write_text(self.path / "log.jsonl", "".join(log))
        if calibration is not None:
            kept = calibration if isinstance(calibration, list) else sealed({**calibration, **of})
            write_json(self.path / "calibration.json", kept)
        if report is not None:
            report(self.report)
        save_method(self.path, trained)

    def keeps_weights_of(self, seed: int) -> bool:
        """Whether the run that is here, or was until its pages were drawn again, has the weights that this seed has."""
        files = [path / "model.safetensors" for path in (self.path, self.seed(seed).path)]
        return all(map(is_file, files)) and len({sha256(path) for path in files}) == 1

    def read_thresholds(self) -> dict[str, Any]:
        """The calibration that `model.json` holds."""
        return read_calibration(self.path)

    def write_thresholds(self, calibration: Mapping[str, Any]) -> None:
        """Give a finished run other thresholds; see `save_calibration`."""
        save_calibration(self.path, calibration)

    def write_made(self, settings: Mapping[str, Any]) -> None:
        """`config.yaml` of a run that was not trained here (imported, extended)."""
        text = yaml.safe_dump(json.loads(json.dumps(settings)), sort_keys=False, allow_unicode=True)
        write_text(self.path / "config.yaml", text)

    def write_fingerprint(self, fingerprint: Mapping[str, Any]) -> None:
        """Of a run that was not trained here, as its origin's."""
        write_json(self.path / "fingerprint.json", sealed(fingerprint))

    def _read(self, name: str, shape: Any) -> Any:
        return read_record(self.path / name, shape, AGAIN)


class Trial:
    """A fit that leaves training videos out, by which a method is chosen."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name

    def read(self) -> dict[str, Any] | None:
        """Its scores of the videos that it left out; None where it is not there."""
        return read_record(self.folder / f"{self.name}.json", TrialRecord, f"delete {self.folder} and run again")

    def write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Keep them; returns the record."""
        write_json(self.folder / f"{self.name}.json", sealed(record))
        for path in self.folder.glob(f"{self.name}-*.checkpoint"):
            path.unlink()
        return dict(record)

    def checkpoint(self, of: str) -> Path:
        """Of the fit under way, made from what has this hash."""
        return self.folder / f"{self.name}-{of[:16]}.checkpoint"


def _asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A command without the fields of its configuration that were filled from the training videos' labels
    (`from_labels`): these are data, and in the fingerprint. Fields that its version did not have yet are what it did:
    all streams, and a method's own defaults."""
    if "auto" in settings:  # what was chosen is no part of it
        settings = {**settings, "method": "auto", "config": None, "from_labels": ()}
        del settings["auto"]
    filled = settings.get("from_labels", ())
    rest = {key: value for key, value in settings.items() if key != "from_labels"}
    if "protocol" in rest:
        rest["protocol"] = {"streams": "all"} | rest["protocol"]
    config = rest.get("config")
    if isinstance(config, dict):
        rest["config"] = {k: v for k, v in (_defaults(rest.get("method")) | config).items() if k not in filled}
    return rest


def _defaults(method: Any) -> dict[str, Any]:
    """A method's configuration as in its paper, plain values; empty of one that is not installed."""
    if method not in METHODS:
        return {}
    try:
        return dict(json.loads(json.dumps(dataclasses.asdict(METHODS[method].config_class()))))
    except WsvadError:
        return {}


def _difference(before: Any, now: Any) -> str:
    """The first place where two settings differ, `lr: 0.1, now 0.2`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                return f"{key}: {_difference(before.get(key), now.get(key))}"
    return f"{short(before)}, now {short(now)}"
