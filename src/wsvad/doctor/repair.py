"""A repaired copy of a stream's files: what the doctor can fix, in the files' own layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from wsvad.doctor.doctor import Layout, Look, read
from wsvad.doctor.finding import Finding
from wsvad.errors import WsvadError
from wsvad.files import atomic
from wsvad.locks import writing


def repair(looks: Sequence[Look], layout: Layout, findings: Sequence[Finding], place: Path, out: Path) -> Finding:
    """Write a copy of every video's files to `out`, fixed where a finding has a `repair`; nothing where none has.

    Args:
        looks, layout: results of `look_at` and `understand`.
        findings: those with a `repair` are fixed.
        place: the folder that the files are in; `out` has the same names below it.

    Returns:
        What was done.

    Raises:
        WsvadError: `out` is the folder of the features, or is not empty; a file is no `.npy`.
    """
    if out.resolve() == place.resolve() or place.resolve() in out.resolve().parents:
        raise WsvadError(f"{out}: is inside the feature folder; name another one, files are never changed in place")
    if out.exists() and any(out.iterdir()):
        raise WsvadError(f"{out}: the folder is not empty; name a new one")
    todo = [finding for finding in findings if finding.repair]
    if not todo:
        return Finding(kind="not repaired", level="note", message="nothing here can be repaired; no copy was written")
    with writing(out):
        for look in looks:
            if any(path.suffix.lower() != ".npy" for path in look.paths):
                raise WsvadError(f"{look.paths[0]}: only released .npy files can be repaired; extract this one again")
            kept = _mended(look, layout, todo)
            for path, array in zip(look.paths, kept, strict=True):
                below = path.relative_to(place) if path.is_relative_to(place) else Path(path.name)
                with atomic(out / below) as temporary, temporary.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
    kinds = ", ".join(finding.kind for finding in todo)
    return Finding(kind="repaired", level="fine", message=f"{out}: a copy of {len(looks):,} videos; fixed: {kinds}")


def _mended(look: Look, layout: Layout, todo: Sequence[Finding]) -> list[np.ndarray]:
    """A video's arrays, on the axes that its files have; on those of releases where features were not on the last."""
    axes = layout.axes[look.video]
    arrays = [read(path).transpose(axes) for path in look.paths]  # (T, D) or (C, T, D)
    for finding in todo:
        if not finding.videos or look.video in finding.videos:
            arrays = _one(finding, look.video, arrays)
    released = (0, 1) if len(axes) == 2 else (1, 0, 2)  # (T, D) or (T, C, D)
    back = released if look.video in layout.turned else tuple(int(i) for i in np.argsort(axes))
    return [np.ascontiguousarray(array.transpose(back)) for array in arrays]


def _one(finding: Finding, video: str, arrays: list[np.ndarray]) -> list[np.ndarray]:
    match finding.repair:
        case "float32":
            return [array.astype(np.float32) for array in arrays]
        case "fill":
            return [_filled(array) for array in arrays]
        case "length" if video in finding.how:
            wanted = cast("int", finding.how[video])
            rows = [np.minimum(np.arange(wanted), array.shape[-2] - 1) for array in arrays]
            return [array[..., chosen, :] for array, chosen in zip(arrays, rows, strict=True)]
        case "crops":
            order = cast("Sequence[int]", finding.how["order"])
            return [arrays[i] for i in order] if len(arrays) > 1 else [arrays[0][list(order)]]
        case "scale":
            factor = np.float32(cast("float", finding.how["factor"]))
            return [array * factor for array in arrays]
        case _:
            return arrays


def _filled(array: np.ndarray) -> np.ndarray:
    """Snippets with NaN or infinity replaced by the nearest whole one, 0 where there is none."""
    flat = np.array(array).reshape(-1, *array.shape[-2:])
    for crop in flat:
        whole = np.flatnonzero(np.isfinite(crop).all(axis=1))
        for t in np.flatnonzero(~np.isfinite(crop).all(axis=1)):
            crop[t] = crop[whole[np.abs(whole - t).argmin()]] if len(whole) else 0
    return flat.reshape(array.shape)
