"""The command line: one verb, one function. Machine output on stdout, progress and messages on stderr.

Exit status: 0 done, 1 something failed (one line says what and where), 2 wrong use. Only the verb that is called is
imported, so that `wsvad --help` and mistakes answer at once.
"""

import logging
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from jsonargparse import set_parsing_settings

from wsvad.cli.exchange import convert, import_checkpoint
from wsvad.cli.output import fail, say, show, show_json, show_text, talking
from wsvad.cli.parser import DEFAULT_METHOD, Verb, build_parser, collect, underscored
from wsvad.cli.verbs import (
    add_category,
    compare_features,
    datasets,
    distill,
    doctor,
    encoders,
    methods,
    report_failures,
    resolved,
    tell,
    transfer,
)
from wsvad.errors import UsageError, WsvadError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [underscored(word) for word in given if word != "--debug"]
    logging.captureWarnings(True)
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        parser = build_parser(given, VERBS)
        chosen = parser.instantiate(parser.parse_args(given))
        verb = VERBS[chosen.subcommand]
        with talking(debug=debug):
            return verb.function(**collect(verb, vars(chosen[chosen.subcommand])))
    except WsvadError as error:
        if debug:
            raise
        fail(error)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to resume")
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has left; nothing more can be said
        return 1
    except Exception as error:
        if debug:
            raise
        fail(f"internal error: {type(error).__name__}: {error} (--debug shows where)")
        return 1


# --------------------------------------------------------------------------------------------------- practitioner


def demo(out: Path = Path("wsvad-demo"), videos: int = 48, seed: int = 0) -> int:
    """The whole way on a simulated camera, offline: make videos, extract, train, evaluate, report.

    Args:
        out: Folder for everything that the demo makes.
        videos: How many videos the simulated camera records.
        seed: Decides what happens in them.
    """
    return import_module("wsvad.cli.demo").run(out, videos, seed)


def train(
    folder: Path,
    config: Any,
    protocol: Any,
    streams: dict[str, str],
    labels: Path | None = None,
    intervals: Path | None = None,
    method: str = DEFAULT_METHOD,
    modalities: str | None = None,
    teacher: Path | None = None,
    out: Path = Path("runs/detector"),
    features: Path | None = None,
    max_false_alarms_per_hour: float = 1.0,
    workers: int | None = None,
) -> int:
    """Learn a detector from a folder of videos that are labelled normal or abnormal as a whole.

    Run again after a kill, it goes on where it was.

    Args:
        folder: Folder of videos, with labels.csv or with subfolders named after what they show (normal, fight …).
        labels: labels.csv (video,label[,category][,split]), if it is not in the folder.
        intervals: intervals.csv (video,category,start_frame,end_frame) of the test videos, if it is not beside labels.
        method: Method to train, see 'wsvad methods'.
        modalities: Streams that the method learns from beside rgb, joined by commas; by default all that it can.
        teacher: Run folder of a trained teacher, for a method that has one; by default it trains its own.
        out: Run folder to write.
        features: Folder for the features, by default in the run folder; runs that share it extract only once.
        max_false_alarms_per_hour: Budget from which the threshold is chosen, on held-out normal videos.
        workers: Processes that extract, by default one for each core.
    """
    from wsvad.datasets.folder import open_folder
    from wsvad.evaluation.table import selections_table
    from wsvad.runs.folder import RunFolder
    from wsvad.training.train import train_detector

    config = narrowed(config, modalities)
    dataset = open_folder(folder, labels, intervals, seed=protocol.first_seed, split=RunFolder(out).split())
    fitted, failed = train_detector(
        dataset,
        resolved(learned(streams, [(method, config)])),
        method,
        config,
        protocol,
        out,
        teacher=teacher,
        features=features,
        max_false_alarms_per_hour=max_false_alarms_per_hour,
        workers=workers,
    )
    show(selections_table(fitted.metrics["selection"]))
    say(f"detector in {out}, report in {out / 'report.html'}")
    return report_failures(failed)


def score(
    videos: list[Path],
    model: Path,
    mode: Literal["whole", "online"] = "whole",
    out: Path = Path("scores"),
    max_false_alarms_per_hour: float | None = None,
    overlay: bool = False,
    json: bool = False,
) -> int:
    """Say when something abnormal happens in videos: scores, events, a report page.

    Args:
        videos: Video files, or folders of them.
        model: Run folder of a trained detector.
        mode: whole looks at all of a video at once; online scores each moment by what came before, as on a live camera.
        out: Folder for scores.json, events.csv, scores.csv, report.html.
        max_false_alarms_per_hour: Budget to choose the threshold anew from; by default the one chosen in training.
        overlay: Write each video with its score curve drawn in, as MP4.
        json: Print scores.json on stdout as well.
    """
    from wsvad.cli.score_files import score_files
    from wsvad.cli.tables import events_table
    from wsvad.files import read_json

    timelines, failed, sentence = score_files(
        videos, model, mode=mode, out=out, max_false_alarms_per_hour=max_false_alarms_per_hour, overlay=overlay
    )
    if timelines:
        if json:
            show_json(read_json(out / "scores.json"))
        else:
            show(events_table(timelines))
        say(sentence)
        say(f"scores, events and report.html are in {out}")
    return report_failures(failed)


# ---------------------------------------------------------------------------------------------------- researcher


def extract(
    folder: Path,
    out: Path,
    streams: dict[str, str],
    labels: Path | None = None,
    workers: int | None = None,
) -> int:
    """Turn videos into features, one file each; killed and run again, nothing is lost or done twice.

    Args:
        folder: Folder of videos with their labels, or videos alone.
        out: Feature folder.
        labels: labels.csv, if it is not in the folder.
        workers: Processes, by default one for each core.
    """
    from wsvad.datasets.folder import open_folder, unlabelled_videos
    from wsvad.extraction.extract import extract as extract_videos
    from wsvad.extraction.prepare import prepare

    specs = resolved(streams)
    loose = unlabelled_videos(folder) if labels is None else None
    if loose:
        failed = extract_videos(loose, specs, out, workers=workers).failed
    else:
        dataset = open_folder(folder, labels, need_videos=not all(s.startswith("lsa:") for s in specs.values()))
        failed = prepare(dataset, specs, out, workers=workers)
    return report_failures(failed)


def fit(
    folder: Path,
    features: Path,
    config: Any,
    protocol: Any,
    labels: Path | None = None,
    intervals: Path | None = None,
    method: str = DEFAULT_METHOD,
    modalities: str | None = None,
    teacher: Path | None = None,
    out: Path = Path("runs/fit"),
) -> int:
    """Fit a method to features under its published protocol (--budget paper).

    Args:
        folder: Dataset: a folder with labels.csv (or train.csv and test.csv), or NAME:FOLDER with the official files
            of a published one, see 'wsvad datasets'; the videos need not be there.
        features: Feature folder, as 'wsvad extract' writes it; or released .npy files, also as rgb=DIR,audio=DIR.
        labels: labels.csv, if it is not in the folder.
        intervals: intervals.csv, if it is not beside the labels.
        method: Method to fit, see 'wsvad methods'.
        modalities: Streams that the method learns from beside rgb, joined by commas; by default all that it can.
        teacher: Run folder of a trained teacher, for a method that has one; by default it trains its own.
        out: Run folder to write.
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.evaluation.table import selections_table
    from wsvad.evaluation.totals import check_bags, introduce
    from wsvad.runs.folder import RunFolder
    from wsvad.training.experiment import Experiment

    dataset = open_dataset(folder, labels, intervals, seed=protocol.first_seed, split=RunFolder(out).split())
    tell(introduce(dataset))
    experiment = Experiment(
        dataset=dataset, features=features, name=method, config=narrowed(config, modalities), protocol=protocol,
        out=out, teacher=teacher,
    )  # fmt: skip
    tell(check_bags(dataset, experiment.test_bags) if dataset.benchmark else ())
    fitted = experiment.run()
    show(selections_table(fitted.metrics["selection"]))
    return 0


def evaluate(
    what: Path,
    data: Path | None = None,
    labels: Path | None = None,
    intervals: Path | None = None,
    features: Path | None = None,
    compat: Literal["vadclip"] | None = None,
    json: bool = False,
) -> int:
    """Measure a run, or a scores file of any system.

    Args:
        what: Scores (.npz with video, frames, score and optionally label, class_score and categories; .csv, .npy, or a
            folder of .npy), or a run folder.
        data: Dataset (folder, or NAME:FOLDER) to take the truth from; for a run by default its own test videos.
        labels: labels.csv, if it is not in the data folder.
        intervals: intervals.csv, if it is not beside the labels.
        features: Feature folder of that dataset, when a run is measured on it.
        compat: vadclip gives mAP as that paper's evaluator computes it, to compare with numbers that were so made.
        json: Print the metrics as JSON.
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.evaluation.measure import measure
    from wsvad.evaluation.table import categories_table, table
    from wsvad.evaluation.totals import headline
    from wsvad.runs.folder import RunFolder

    split = RunFolder(what).split()
    dataset = open_dataset(data, labels, intervals, split=split, need_training=False) if data else None
    found, marked = measure(what, dataset, features, compat), headline(dataset)
    tell(found.notes)
    if json:
        show_json(found.metrics)
    elif found.per_category_ap:
        tables = table(found.metrics, headline=marked), categories_table(found.per_category, found.per_category_ap)
        for one in tables:
            show(one)
    else:
        show(table(found.metrics, found.per_category, marked))
    return 0


def bench(
    data: str,
    methods: str,
    protocol: Any,
    streams: dict[str, str],
    config: Any = None,
    modalities: str | None = None,
    features: Path | None = None,
    headline: str | None = None,
    against: str | None = None,
    out: Path = Path("runs/bench"),
    json: bool = False,
) -> int:
    """Compare methods on one dataset over seeds: every selection side by side, with intervals and p-values.

    Args:
        data: Dataset folder, NAME:FOLDER, or toy for the simulated camera (made once, in the user's cache).
        methods: Names joined by commas, see 'wsvad methods'. Of a single one the options --config.… are taken.
        modalities: Streams that methods learn from beside rgb, joined by commas; by default all that each can.
        features: Feature folder, by default in the out folder (toy has its own); what is missing is extracted.
        headline: Metric that methods are sorted by; by default the one that papers print for the dataset.
        against: Method that the others are compared with; by default the first one.
        out: Folder for the runs and for bench.html, bench.md, bench.csv, bench.json.
        json: Print the rows as JSON.
    """
    from wsvad.cli.tables import leaderboard_table
    from wsvad.studies.bench import run_bench
    from wsvad.studies.run_card import default_config

    configs = {methods: config} if config is not None else {name: default_config(name) for name in methods.split(",")}
    configs = {n: narrowed(c, modalities if hasattr(c, "modalities") else None) for n, c in configs.items()}
    streams = resolved(learned(streams, configs.items()))
    board = run_bench(
        data, configs, protocol, streams=streams, features=features, out=out, headline=headline, baseline=against
    )
    if json:
        show_json({"rows": board.rows})
    else:
        show(leaderboard_table(board))
    say(f"page in {out / 'bench.html'}")
    return 0


def ablate(
    method: str,
    data: str,
    config: Any,
    protocol: Any,
    streams: dict[str, str],
    table: str | None = None,
    figure: str | None = None,
    modalities: str | None = None,
    features: Path | None = None,
    to: str | None = None,
    to_features: Path | None = None,
    out: Path = Path("runs/ablate"),
) -> int:
    """Train and measure the rows of a paper's table or figure on any dataset, over seeds.

    Tables of one out folder share their runs. Beside the paper's tables there are questions that it leaves open.

    Args:
        method: Method whose table it is.
        table: Number of the paper's table, or a question; a wrong one is answered with those that there are.
        figure: Number of the paper's figure, instead of a table.
        data: Dataset folder, NAME:FOLDER, or toy for the simulated camera.
        modalities: Streams that the method learns from beside rgb, joined by commas; by default all that it can.
        features: Feature folder, by default in the out folder (toy has its own); what is missing is extracted.
        to: Dataset folder to test on, where the table is about another dataset.
        to_features: Feature folder of that dataset.
        out: Folder for the runs, and for the table as CSV, Markdown and SVG.
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.studies.ablate import Elsewhere, ablation, as_markdown, run_ablation, write_results
    from wsvad.studies.bench import open_data

    if (table is None) == (figure is None):
        raise UsageError("name a --table or a --figure")
    name = table or f"figure-{figure}"
    chosen, config = ablation(method, name), narrowed(config, modalities)
    streams = resolved(learned(streams, [(row.method, row.config) for row in chosen.rows(config)]))
    dataset, features = open_data(data, streams, features, out)
    elsewhere = Elsewhere(dataset=open_dataset(to), features=to_features) if to and to_features else None
    results = run_ablation(chosen, config, dataset, features, protocol, out, elsewhere=elsewhere)
    show_text(as_markdown(results))
    seeds = "one seed" if protocol.seeds == 1 else f"{protocol.seeds} seeds"
    where = f"{dataset.name} → {elsewhere.dataset.name}" if elsewhere else dataset.name
    note = f"{where}; percent, mean ± standard deviation over {seeds}, last iteration."
    write_results(out, f"{method}-{name}", chosen.title, note, results)
    return 0


def toy(out: Path, videos: int = 48, seed: int = 0, workers: int | None = None) -> int:
    """Record videos with a simulated camera, with exact truth and exact pose, depth, mask, flow and text streams.

    Args:
        out: Folder to write.
        videos: How many, half of them abnormal.
        seed: Decides scenes and stories; the same seed gives the same bytes.
        workers: Processes, by default one for each core.
    """
    from wsvad.datasets.toy import make_toy

    make_toy(out, videos=videos, seed=seed, workers=workers)
    return 0


def learned(streams: dict[str, str], methods: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """The streams that some of the methods, under their configurations, learn from: no other is worth encoding."""
    from wsvad.methods import METHODS
    from wsvad.methods.method import learns_from

    wanted = {stream for name, config in methods for stream in learns_from(METHODS[name], config)}
    return {stream: spec for stream, spec in streams.items() if stream in wanted}


def narrowed(config: Any, modalities: str | None) -> Any:
    """A method's configuration with `--modalities`."""
    import dataclasses

    if modalities is None:
        return config
    if not hasattr(config, "modalities"):
        raise UsageError("--modalities: this method learns from rgb alone; leave the option out")
    return dataclasses.replace(config, modalities=tuple(modalities.split(",")))


VERBS = {
    "demo": Verb(function=demo, example="wsvad demo"),
    "train": Verb(
        function=train, positional="folder", learns="data", encodes=True,
        example="wsvad train videos --rgb motion --seeds 3 --out runs/gate",
    ),
    "distill": Verb(
        function=distill, positional="run", learns="data", encodes=True, configures="dakd",
        example="wsvad distill runs/gate --to motion --out runs/gate-light",
    ),
    "score": Verb(
        function=score, positional="videos", many=True, flags=("overlay", "json"),
        example="wsvad score gate-monday.mp4 --model runs/gate --overlay",
    ),
    "extract": Verb(
        function=extract, positional="folder", encodes=True,
        example="wsvad extract videos --rgb motion --flow flow --out features",
    ),
    "fit": Verb(
        function=fit, positional="folder", learns="paper",
        example="wsvad fit ucf-crime --features features --method ur-dmu --seeds 5",
    ),
    "evaluate": Verb(function=evaluate, positional="what", flags=("json",), example="wsvad evaluate scores.npz --json"),
    "bench": Verb(
        function=bench, flags=("json",), learns="data", encodes=True,
        example="wsvad bench --data toy --methods mil,ur-dmu --seeds 5",
    ),
    "ablate": Verb(
        function=ablate, positional="method", learns="data", hold_out=0.0, encodes=True,
        example="wsvad ablate pi-vad --table 3 --data toy --seeds 5",
    ),
    "transfer": Verb(
        function=transfer, positional="run", learns="data", hold_out=0.0,
        example="wsvad transfer runs/street --to square --seeds 3 --out runs/street-to-square",
    ),
    "add-category": Verb(
        function=add_category, positional="run name videos", many=True,
        example="wsvad add-category runs/gate climbing fence-1.mp4 fence-2.mp4 --out runs/gate-2",
    ),
    "import": Verb(
        function=import_checkpoint, positional="checkpoint",
        example="wsvad import ucf_trans_2022.pkl --method ur-dmu --out runs/official",
    ),
    "convert": Verb(
        function=convert, positional="what", example="wsvad convert annotations.xml --out intervals.csv",
    ),
    "methods": Verb(function=methods, example="wsvad methods"),
    "doctor": Verb(
        function=doctor, positional="features", flags=("json",),
        example="wsvad doctor data/i3d --data ucf-crime:data/ucf --repair data/i3d-mended",
    ),
    "compare-features": Verb(
        function=compare_features, positional="sets", many=True, flags=("json",),
        example="wsvad compare-features data/i3d data/ours",
    ),
    "datasets": Verb(function=datasets, example="wsvad datasets"),
    "encoders": Verb(function=encoders, example="wsvad encoders"),
    "toy": Verb(function=toy, positional="out", example="wsvad toy camera --videos 48 --seed 0"),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
