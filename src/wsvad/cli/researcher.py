"""Verbs for research on one method: features, fits and their measure. What a verb needs is imported when it is
called."""

from pathlib import Path
from typing import Annotated, Any, Literal

from wsvad.cli.common import COMMAND, DONE, FOUND_WRONG, left_out, tell
from wsvad.cli.devices import on_devices
from wsvad.cli.options import (
    DEFAULT_METHOD,
    DataFolder,
    File,
    Folder,
    Names,
    Run,
    Size,
    Video,
    memory_of,
    narrowed,
    refuse,
    refuse_own_truth,
    refuse_teacher,
    resolved,
)
from wsvad.cli.output import show, show_json, show_lines
from wsvad.errors import UsageError
from wsvad.locks import writing
from wsvad.ranges import Count, NotNegative, Positive, Range, Whole
from wsvad.video.clock import Rate
from wsvad.video.decoding import Decode

Frames = Annotated[int, Range(1, 64)]
Tokens = Annotated[int, Range(1, 1000)]
Scores = Annotated[Path, "SCORES|RUN"]


def extract(
    folder: Folder,
    out: Folder,
    streams: dict[str, str],
    labels: File | None = None,
    workers: Whole | None = None,
    rate: Rate | None = None,
    raw_rate: Positive | None = None,
    device: Annotated[str, "DEVICE"] = "auto",
    engine: Annotated[str, "ENGINE"] = "local",
    cpus_per_worker: Positive | None = None,
    gpus_per_worker: NotNegative | None = None,
    gate: bool = False,
    decode: Decode = "exact",
    plan: bool = False,
    json: bool = False,
) -> int:
    """Turn videos into features, one file each.

    Interrupt at any time; run the command again to resume. With --plan nothing is written: it encodes for a minute, and
    says how many snippets and gigabytes there will be, and how long it will take.

    Args:
        folder: Folder of videos with their labels, or videos alone; or s3://, gs:// or az://BUCKET/FOLDER.
        out: Feature folder, or s3://, gs:// or az://BUCKET/FOLDER.
        labels: labels.csv, if it is not in the folder.
        workers: Processes; 0 uses this process (default: one per core, or as many as a cluster has room for).
        rate: Frames per second to resample all videos to (default: their own).
        raw_rate: Frames per second of raw streams (.h264, .hevc) that do not say it.
        device: Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them.
        engine: Who does the work: local (processes on this machine), ray (a Ray cluster that this machine belongs to),
            or ray://HOST:PORT, the head of that cluster.
        cpus_per_worker: Processors that Ray reserves for each worker (default: 1).
        gpus_per_worker: GPUs that Ray reserves for each worker, such as 0.5 (default: 0).
        gate: Leave out what does not move: of a still camera, many times as fast.
        decode: How videos are decoded. fast: without the loop filter of H.264, HEVC and VP8, a fifth to a third less
            work at low bit rates, features 3 % off. hardware: NVDEC, VAAPI or VideoToolbox.
        plan: Only say what it will come to, by encoding for a minute.
        json: With --plan, print it as JSON.
    """
    from wsvad.extraction.engines import engine_of
    from wsvad.extraction.prepare import extract_folder

    specs = resolved({"rgb": "auto"} | streams)
    # To plan takes processes also where the work is to be done in this one: they can be ended within a video.
    processes = max(workers, 1) if plan and workers is not None else workers
    by = engine_of(engine, workers=processes, device=device, cpus=cpus_per_worker, gpus=gpus_per_worker)
    if plan:
        refuse("--plan, which measures videos as a whole", {"--gate": gate})
        from wsvad.cli.surveys import show_plan
        from wsvad.doctor.plan import plan as plan_of

        found = plan_of(folder, specs, out, labels=labels, raw_rate=raw_rate, rate=rate, decode=decode, engine=by)
        if json:
            show_json(found.as_dict())
        else:
            show_plan(found)
        return left_out({file: f"{file}: {reason}" for file, reason in found.unread.items()})
    refuse("an extraction without --plan", {"--json": json})
    failed, count = extract_folder(
        folder, specs, out, labels=labels, raw_rate=raw_rate, rate=rate, engine=by, gate=gate, decode=decode
    )
    return left_out(failed, of=count)


def caption(
    videos: list[Video],
    model: Annotated[str, "hf:FOLDER"],
    out: File = Path("captions.jsonl"),
    segment: Annotated[str, "LENGTH"] = "5s",
    frames: Frames = 1,
    prompt: Annotated[str, "TEXT"] | None = None,
    tokens: Tokens = 40,
    device: Annotated[str, "DEVICE"] = "auto",
    raw_rate: Positive | None = None,
) -> int:
    """Describe videos in words with a vision-language model, for a text stream.

    Interrupt at any time; run the command again to resume. Then 'wsvad extract videos --text
    sentence:MODEL:captions.jsonl' makes features of the captions.

    Args:
        videos: Video files, or folders of them. Names in the file are those that labels use.
        model: Local folder of a model of transformers in safetensors (BLIP, LLaVA, Gemma 3 …; SmolVLM and Qwen2-VL need
            torchvision as well).
        out: Captions file to write, one JSON line per video.
        segment: Length of video that one caption describes: seconds (5s) or frames (80).
        frames: Frames of each segment that the model sees.
        prompt: Question to the model, or the beginning of each caption.
        tokens: Largest number of tokens in a caption.
        device: Where the model runs: cpu, cuda, cuda:N, mps, or auto, the fastest of them.
        raw_rate: Frames per second of raw streams (.h264, .hevc) that do not say it.
    """
    from wsvad.cli.output import say
    from wsvad.datasets.folder import videos_in
    from wsvad.device import device_of
    from wsvad.encoders.captioner import Captioner
    from wsvad.extraction.captioning import Segment, caption_videos

    scheme, _, folder = model.partition(":")
    if scheme != "hf" or not folder:
        raise UsageError(f"--model {model}: write hf:FOLDER, a local folder of a model of transformers")
    left: dict[Path, str] = {}
    found = dict(videos_in(videos, left))
    device = device_of(device)
    captioner = Captioner(folder, prompt=prompt, frames=frames, tokens=tokens)
    captioner.to(device)
    captions = caption_videos(found, captioner, out, segment=Segment(segment), raw_rate=raw_rate)
    failed = captions.failed | {str(path): reason for path, reason in left.items()}
    say(f"captions in {out}: {captions.done} videos described now, {captions.reused} before")
    return left_out(failed, of=len(found) + len(left))


def fit(
    folder: DataFolder,
    features: Folder,
    config: Any,
    protocol: Any,
    labels: File | None = None,
    intervals: File | None = None,
    method: str = DEFAULT_METHOD,
    modalities: Names | None = None,
    teacher: Run | None = None,
    out: Run = Path("runs/fit"),
    memory: Size | None = None,
    devices: Count | None = None,
) -> int:
    """Fit a method to features under its published protocol (--budget paper).

    Interrupt at any time; run the command again to resume, on as many devices as you like.

    Args:
        folder: Dataset: a folder with labels.csv (or train.csv and test.csv), or NAME:FOLDER with the official files
            of a published one, see 'wsvad datasets'. The videos need not be there.
        features: Feature folder, or s3://, gs:// or az://BUCKET/FOLDER, as 'wsvad extract' writes it; or released .npy
            files, a list of such, or rgb=PLACE,audio=PLACE.
        labels: labels.csv, if it is not in the folder.
        intervals: intervals.csv, if it is not beside the labels; or none.
        method: Method to fit, see 'wsvad methods'.
        modalities: Extra training streams besides rgb, of a method that has them (default: all supported).
        teacher: Run folder of a trained teacher, for a method that has one (default: it trains its own).
        out: Run folder to write.
        memory: Of features, in memory; the rest is read from disk, with the same result (default: 4GiB).
        devices: GPUs, or with --device cpu processors, that share each batch, with the result of one (default: 1, or as
            torchrun says).
    """
    from wsvad.cli.tables import selections_table
    from wsvad.datasets.open import open_dataset
    from wsvad.evaluation.totals import check_bags, introduce
    from wsvad.runs.folder import RunFolder
    from wsvad.training.experiment import Experiment
    from wsvad.training.ranks import place, start, wanted

    config = narrowed(config, modalities, method)
    refuse_teacher(method, config, teacher)
    if place() is None and (ranks := wanted(devices, protocol.device)) > 1:
        return start(COMMAND.get(), ranks)
    with on_devices(devices, protocol) as (team, protocol):
        if team and not (team.leads or team.await_job()):
            return DONE
        dataset = open_dataset(folder, labels, intervals, seed=protocol.first_seed, split=RunFolder(out).split())
        refuse_own_truth(dataset, labels, intervals)
        tell([dataset.understood] if dataset.understood else introduce(dataset))
        experiment = Experiment(
            dataset=dataset, features=features, name=method, config=config, protocol=protocol, out=out, teacher=teacher,
            memory=memory_of(memory, team.ranks if team else 1), team=team,
        )  # fmt: skip
        if team and not team.leads:
            experiment.fitting.follow()
            return DONE
        with writing(out):
            tell(check_bags(dataset, experiment.test_bags) if dataset.benchmark else ())
            fitted = experiment.run()
    show(selections_table(fitted.metrics))
    tell(fitted.metrics["certainty"])
    return DONE


def evaluate(
    what: Scores,
    data: DataFolder | None = None,
    labels: File | None = None,
    intervals: File | None = None,
    features: Folder | None = None,
    compat: Literal["vadclip"] | None = None,
    threshold: Annotated[float, "SCORE"] | None = None,
    max_false_alarms_per_hour: Positive | None = None,
    json: bool = False,
) -> int:
    """Measure a run, or a scores file of any system.

    Args:
        what: Scores (.npz with video, frames, score and optionally label, class_score and categories; .csv, .npy, or a
            folder of .npy), or a run folder.
        data: Dataset (folder, or NAME:FOLDER) to take the truth from (default: the labels in the scores file, or a
            run's own test videos).
        labels: labels.csv, if it is not in the data folder.
        intervals: intervals.csv, if it is not beside the labels; or none.
        features: Feature folder of that dataset, to measure a run on it.
        compat: Compute mAP as this paper's evaluator does, to compare with numbers made by it.
        threshold: Score at which alerts begin (default: the run's own).
        max_false_alarms_per_hour: Instead, the lowest threshold that keeps this rate in the normal test videos, so
            chosen on them (default for scores: 1).
        json: Print the metrics as JSON, with the curve of events found against false alarms.
    """
    from wsvad.cli.tables import categories_table, metrics_table
    from wsvad.datasets.open import open_dataset
    from wsvad.evaluation.alerting import At
    from wsvad.evaluation.measure import measure
    from wsvad.evaluation.score_forms import holds_scores
    from wsvad.evaluation.totals import headline
    from wsvad.runs.folder import RunFolder

    if data is None:
        own = {"--labels": labels, "--intervals": intervals, "--features": features}
        refuse("an evaluation without --data", own)
    if holds_scores(what):
        refuse("scores, which are measured as they are", {"--features": features})
    division = RunFolder(what).division()
    dataset = open_dataset(data, labels, intervals, **division, need_training=False) if data else None
    if dataset:
        refuse_own_truth(dataset, labels, intervals)
    at = At(threshold=threshold, false_alarms_per_hour=max_false_alarms_per_hour)
    found, marked = measure(what, dataset, features, compat, at), headline(dataset)
    tell(found.notes)
    if json:
        show_json(found.metrics | ({"alerts": found.alerts} if found.alerts else {}))
    elif found.per_category_ap:
        show(metrics_table(found.metrics, headline=marked, intervals=found.intervals))
        show(categories_table(found.per_category, found.per_category_ap))
    else:
        show(metrics_table(found.metrics, found.per_category, marked, found.intervals))
    return DONE


def doctor(
    features: Folder, data: DataFolder, against: Folder | None = None, repair: Folder | None = None, json: bool = False
) -> int:
    """Explain what is wrong with features, and which convention they follow.

    Exit status 1 if something has to be fixed.

    Args:
        features: Feature folder, released .npy files, or rgb=FOLDER,audio=FOLDER; or an array of frame labels (gt.npy).
        data: Dataset (folder, or NAME:FOLDER) whose videos and lengths they should have.
        against: Reference set that is known to be right, to compare numbers with.
        repair: New folder for a repaired copy, in the layout of the files.
        json: Print the findings as JSON.
    """
    from wsvad.datasets.open import open_dataset
    from wsvad.doctor.examine import as_json, diagnose, sentences

    if features.is_file() and features.suffix == ".npy":
        refuse("an array of frame labels", {"--against": against, "--repair": repair})
    found = diagnose(features, open_dataset(data, need_training=False), against, repair)
    if json:
        show_json(as_json({stream: findings for stream, (_, findings) in found.items()}))
    else:
        lines = [line for stream, (head, findings) in found.items() for line in sentences(stream, findings, head)]
        show_lines(lines)
    wrong = any(finding.level == "wrong" for _, findings in found.values() for finding in findings)
    return FOUND_WRONG if wrong else DONE


def compare_features(sets: list[Folder], json: bool = False) -> int:
    """Show where two sets of features differ: lengths, crops and their order, scale, shift, pixels.

    Exit status 1 if they differ.

    Args:
        sets: Two feature folders, the first one taken to be right.
        json: Print the findings as JSON.
    """
    from wsvad.doctor.examine import as_json, compare_sets, sentences

    if len(sets) != 2:
        raise UsageError(f"compare-features: {len(sets)} sets; name two")
    found = compare_sets(*sets)
    if json:
        show_json(as_json(found))
    else:
        show_lines(line for stream, findings in found.items() for line in sentences(stream, findings))
    wrong = any(finding.level == "wrong" for findings in found.values() for finding in findings)
    return FOUND_WRONG if wrong else DONE
