"""The folder of one seed in a run: `wsvad.runs.folder` says what else there is."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wsvad.errors import WsvadError
from wsvad.files import read_json, read_text, remove, sha256, without_nan, write_json, write_text
from wsvad.runs.model import TrainedMethod, load_method, save_method
from wsvad.runs.points import read_point, write_point
from wsvad.runs.records import OF_SEED, Fold
from wsvad.runs.scorer import Scored
from wsvad.runs.sealed import check_weights, own_file, own_folder, sealed, unsealed
from wsvad.shapes import checked

Sealable = dict[str, Any] | list[Any]


class SeedFolder:
    """The fits of one seed.

    held_out.json      training videos that are left out for the selection fit
    selection.json     that fit: which iteration they choose, their scores
    folds.json         training videos that each of the fits leaves out on which thresholds are calibrated
    linear.json        scores of the test videos by `linear`, which the method has to be above
    fold-K.json        scores of normal training videos by a fit that left them out, where thresholds are calibrated
    points/N.safetensors    scores of the test videos after N iterations of the fit on all training videos
    online.json        scores of the test videos after the last iteration, as a live camera has them
    fit.json           that fit's history of losses
    result.json        what the points come to beside the truth: metrics of each selection
    test_scores.npz    class scores of the test videos after the last iteration, for a method that gives them
    log.jsonl, timing.json, model.safetensors, model.json
    *.checkpoint       of a fit under way
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def has_model(self) -> bool:
        return (self.path / "model.json").is_file()

    def load(self) -> TrainedMethod:
        """The method after its last iteration."""
        return load_method(self.path)

    def checkpoint(self, fit: str) -> Path:
        return self.path / f"{fit}.checkpoint"

    @property
    def class_scores(self) -> Path:
        return self.path / "test_scores.npz"

    def read(self, name: str) -> Any:
        """`selection`, `fit`, `result` or `timing`; None where it is not there yet."""
        again = f"delete {self.path} and run again"
        return read_record(self.path / f"{name}.json", OF_SEED.get(name, Fold), again)

    def write(self, name: str, value: Mapping[str, Any]) -> Any:
        """Write one of them; returns it as it is read back. A result is that of the weights that are there."""
        of = {"weights": sha256(self.path / "model.safetensors")} if name == "result" else {}
        write_json(self.path / f"{name}.json", sealed({**value, **of}))
        return self.read(name)

    def write_log(self, rows: Iterable[Mapping[str, Any]]) -> None:
        write_text(self.path / "log.jsonl", "".join(json.dumps(without_nan(row)) + "\n" for row in rows))

    def log(self) -> str:
        """Its lines.

        Raises:
            WsvadError: they are not there, or damaged.
        """
        path, again = self.path / "log.jsonl", f"delete {self.path} and run again"
        if own_file(path) is None:
            raise WsvadError(f"{path}: there is no such file; {again}")
        try:
            return read_text(path)
        except WsvadError as error:
            raise WsvadError(f"{error}; {again}") from None

    def write_model(self, trained: TrainedMethod) -> None:
        save_method(self.path, trained)

    def write_point(self, iteration: int, scored: Mapping[str, Scored]) -> None:
        """Keep what the test videos score at a point of the fit."""
        write_point(self._point(iteration), scored)

    def read_point(self, iteration: int) -> dict[str, Scored]:
        """Video → its scores after so many iterations.

        Raises:
            WsvadError: they are not there, or damaged.
        """
        return read_point(self._point(iteration), f"delete {self.path} and run again")

    def points(self) -> list[int]:
        """Iterations at which the fit scored the test videos, by its record: whether a file was lost is seen where it
        is read.

        Raises:
            WsvadError: the record is not there, or damaged.
        """
        history = (self.read("fit") or {"history": []})["history"]
        if scored := [row["iteration"] for row in history if "scored" in row]:
            return scored
        raise WsvadError(
            f"{self.path / 'fit.json'}: damaged or missing (no point was scored); delete {self.path} and run again"
        )

    def end_fits(self) -> None:
        """The results are safe: checkpoints are no longer needed."""
        for path in self.path.glob("*.checkpoint"):
            path.unlink()

    def forget_result(self) -> None:
        """The truth has changed."""
        (self.path / "result.json").unlink(missing_ok=True)

    def forget_fit(self) -> None:
        """There are test videos that were not scored. The selection fit stays: it knows training videos alone."""
        self.forget_result()
        for name in ("fit.json", "online.json", "linear.json", "model.json", "model.safetensors", "fit.checkpoint"):
            (self.path / name).unlink(missing_ok=True)
        remove(self.path / "points")

    def forget_everything(self) -> None:
        """The training data has changed. Which videos were held out is remembered, so that most of them stay so."""
        for path in self.path.iterdir():
            if path.name != "held_out.json":
                remove(path)

    def _point(self, iteration: int) -> Path:
        return own_folder(self.path / "points") / f"{iteration:06d}.safetensors"


def read_record(path: Path, shape: Any, remedy: str) -> Any:
    """What a JSON file of a run, or of a seed, holds; None where it is not there."""
    if own_file(path) is None:
        return None
    record = unsealed(path, checked(path, read_json(path, remedy=remedy), Sealable, remedy), remedy)
    if isinstance(record, dict):
        check_weights(path, record, path.parent / "model.safetensors", remedy)
    return checked(path, record, shape, remedy)
