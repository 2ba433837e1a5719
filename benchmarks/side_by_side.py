"""UR-DMU on what RefineVAD has on the simulated camera, `motion` and captions, joined to one stream; printed.

python benchmarks/side_by_side.py        (after `benchmarks/tables.py refinevad streams`, which makes the features)

UR-DMU reads one stream. Beside RefineVAD with text this tells the method from the text.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from command import wsvad

from wsvad.encoders import resolve
from wsvad.features.store import StoredFeatures, feature_path, load, save
from wsvad.studies.bench import open_data


def main(out: Path = Path("runs/side-by-side")) -> None:
    dataset, features, _ = open_data("toy", {"rgb": resolve("motion")[0]}, None, out)
    for video in dataset.videos:
        rgb, text = (load(feature_path(features, stream, video.name)) for stream in ("rgb", "text"))
        both = np.concatenate([rgb.features, text.features], axis=-1)
        passport = replace(rgb.passport, encoder="motion+text", width=both.shape[-1])
        save(feature_path(out / "features", "rgb", video.name), StoredFeatures(features=both, passport=passport))
    wsvad(
        "fit", str(features.parent), "--features", str(out / "features"), "--method", "ur-dmu", "--budget", "data",
        "--normalise", "standardise", "--hold-out", "0", "--points", "1", "--seeds", "5", "--out", str(out / "run"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
