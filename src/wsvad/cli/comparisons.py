"""Verbs that compare: methods, the rows of a paper's table, a run at home and elsewhere. What a verb needs is imported
when it is called."""

from pathlib import Path
from typing import Annotated, Any

from wsvad.cli.common import left_out, tell
from wsvad.cli.options import Data, Folder, Names, Run, encoders_for, names, narrowed, refuse, resolved
from wsvad.cli.output import say, show, show_json, show_text
from wsvad.errors import UsageError
from wsvad.locks import writing
from wsvad.ranges import Whole


def bench(
    data: Data,
    methods: Names,
    configs: dict[str, Any],
    protocol: Any,
    streams: dict[str, str],
    modalities: Names | None = None,
    features: Folder | None = None,
    headline: Annotated[str, "METRIC"] | None = None,
    against: Annotated[str, "METHOD"] | None = None,
    out: Folder = Path("runs/bench"),
    workers: Whole | None = None,
    json: bool = False,
) -> int:
    """Compare methods on one dataset over seeds: every selection side by side, with intervals and p-values.

    Settings of single methods: --config pi-vad.profile=light, or --config FILE.yaml (method: fields). Repeatable.

    Args:
        data: Dataset folder, NAME:FOLDER, or toy for the simulated camera (made once, in the user's cache).
        methods: Methods to compare, see 'wsvad methods'.
        modalities: Extra training streams besides rgb, of methods that have them (default: all supported).
        features: Feature folder; what is missing is extracted (default: in the out folder; toy has its own).
        headline: Metric that methods are sorted by (default: the one that papers print for the dataset).
        against: Method that the others are compared with (default: linear, or the first one).
        out: Folder for the runs and for bench.html, bench.md, bench.csv and bench.json.
        workers: Processes that fit side by side; 0: this one (default: one per core).
        json: Print the rows as JSON.
    """
    from wsvad.cli.tables import leaderboard_table
    from wsvad.studies.bench import check_names, default_baseline, run_bench

    if len(configs) == 1:
        refuse("a single method", {"--against": against})
    check_names(configs, headline, against or default_baseline(configs))
    configs = each_narrowed(configs, modalities)
    with writing(out):
        board = run_bench(
            data, configs, protocol, streams=resolved(encoders_for(streams, configs.items()), features),
            features=features, out=out, headline=headline, baseline=against, workers=workers,
        )  # fmt: skip
    if json:
        show_json({"rows": board.rows} | ({"failed": board.failed} if board.failed else {}))
    else:
        show(leaderboard_table(board))
    tell(board.remarks)
    say(f"page in {out / 'bench.html'}")
    return left_out(board.left_out, failed=board.failed)


def each_narrowed(configs: dict[str, Any], modalities: str | None) -> dict[str, Any]:
    """Configurations with `--modalities`, as far as methods have any.

    Raises:
        UsageError: none has.
    """
    from wsvad.methods.abilities import ChoosesModalities

    if modalities is None:
        return configs
    names("--modalities", modalities)
    if not any(isinstance(config, ChoosesModalities) for config in configs.values()):
        refuse(f"{', '.join(configs)}, which have no modalities", {"--modalities": modalities})
    return {n: narrowed(c, modalities, n) if isinstance(c, ChoosesModalities) else c for n, c in configs.items()}


def ablate(
    method: str,
    data: Data,
    configs: dict[str, Any],
    protocol: Any,
    streams: dict[str, str],
    table: Annotated[str, "NUMBER|NAME"] | None = None,
    figure: Annotated[str, "NUMBER"] | None = None,
    modalities: Names | None = None,
    features: Folder | None = None,
    to: Data | None = None,
    to_features: Folder | None = None,
    out: Folder = Path("runs/ablate"),
    workers: Whole | None = None,
) -> int:
    """Train and measure the rows of a paper's table or figure on any dataset, over seeds.

    Tables of one out folder share their runs. Besides the paper's tables there are others, on questions that the paper
    leaves open.

    Args:
        method: Method whose table it is.
        table: Number of the paper's table, or the name of another one; an unknown name lists what is available.
        figure: Number of the paper's figure, instead of a table.
        data: Dataset folder, NAME:FOLDER, or toy for the simulated camera.
        modalities: Extra training streams besides rgb, of a method that has them (default: all supported).
        features: Feature folder; what is missing is extracted (default: in the out folder; toy has its own).
        to: Dataset folder to test on, instead of the test videos of --data.
        to_features: Feature folder of that dataset.
        out: Folder for the runs, and for the table as CSV, Markdown and SVG.
        workers: Processes that fit side by side; 0: this one (default: one per core).
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.studies.ablate import (
        Elsewhere,
        ablation,
        as_markdown,
        configured,
        failures,
        run_ablation,
        write_results,
    )
    from wsvad.studies.bench import open_data

    if (table is None) == (figure is None):
        raise UsageError("name a --table or a --figure, and not both")
    if (to is None) != (to_features is None):
        raise UsageError("--to and --to-features go together; give both, or neither")
    name = table or f"figure-{figure}"
    config = narrowed(configs[method], modalities, method)
    others = {n: c for n, c in configs.items() if n != method}
    chosen = configured(ablation(method, name), config, others, protocol.budget)
    if chosen.elsewhere and to is None:
        raise UsageError("this table is about another dataset; name it with --to and --to-features")
    asked = encoders_for(streams, [(row.method, row.config) for row in chosen.rows(config)])
    elsewhere = Elsewhere(dataset=open_dataset(to), features=to_features) if to and to_features else None
    with writing(out):
        dataset, features, failed = open_data(data, resolved(asked, features), features, out, device=protocol.device)
        results = run_ablation(chosen, config, dataset, features, protocol, out, elsewhere=elsewhere, workers=workers)
        show_text(as_markdown(results))
        seeds = "one seed" if protocol.seeds == 1 else f"{protocol.seeds} seeds"
        where = f"{dataset.name} → {elsewhere.dataset.name}" if elsewhere else dataset.name
        note = f"{where}; percent, mean ± standard deviation over {seeds}, last iteration."
        write_results(out, f"{method}-{name}", chosen.title, note, results)
    return left_out(failed, failed=failures(results))


def transfer(
    run: Run,
    to: Data,
    protocol: Any,
    to_features: Folder | None = None,
    out: Folder = Path("runs/transfer"),
    workers: Whole | None = None,
) -> int:
    """Measure a run on another dataset: as it is, and with only its CORE kept and the rest trained there.

    Methods without a CORE module get only the zero-shot row. The last row is the same method trained there from
    scratch, for comparison.

    Args:
        run: Run folder.
        to: Dataset folder to test on, or toy for the simulated camera.
        to_features: Feature folder of that dataset, made with the run's encoders (default: in the out folder).
        out: Folder for transfer.csv, transfer.md and the runs that are trained.
        workers: Processes that fit side by side; 0: this one (default: one per core).
    """
    from wsvad.methods.abilities import KeepsCore
    from wsvad.runs.folder import RunFolder
    from wsvad.studies.ablate import as_markdown, failures
    from wsvad.studies.bench import earlier_split, open_data
    from wsvad.studies.run_card import options
    from wsvad.studies.transfer import Place, transfer
    from wsvad.training.protocol import Protocol

    folder = RunFolder(run)
    trained = folder.load()
    if not isinstance(trained.method, KeepsCore) or not trained.method.has_core:
        default = Protocol(budget="data", normalise="standardise", hold_out=0.0)
        asked = [word for word in options("--", protocol, default) if word.startswith("--")]
        given = dict.fromkeys(asked, True) | {"--workers": workers}
        refuse(f"{trained.name}, which has no CORE, so that nothing is trained", given)
    split = earlier_split(out) | folder.split()
    with writing(out):
        dataset, features, failed = open_data(
            to,
            trained.encoders,
            to_features,
            out,
            split=split,
            rate=trained.rate,
            decode=trained.decode,
            device=protocol.device,
        )
        results = transfer(run, Place(dataset=dataset, features=features), protocol, out, workers=workers)
        show_text(as_markdown(results))
    say(f"table in {out / 'transfer.md'}")
    return left_out(failed, failed=failures(results))
