"""Verbs for one's own videos: a detector is trained, used, made cheaper and taken further. What a verb needs is
imported when it is called."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from wsvad.cli.common import DONE, FOUND_WRONG, LEFT_OUT, left_out, tell
from wsvad.cli.options import (
    AUTO_METHOD,
    DEFAULT_BUDGET,
    DEFAULT_METHOD,
    DataFolder,
    File,
    Folder,
    Names,
    Run,
    Size,
    Video,
    encoders_for,
    memory_of,
    names,
    narrowed,
    option_of,
    refuse,
    refuse_own_truth,
    refuse_teacher,
    resolved,
)
from wsvad.cli.output import say, show, show_json
from wsvad.errors import UsageError
from wsvad.ranges import Positive, Range, Score, Seed, Whole
from wsvad.video.clock import Rate
from wsvad.video.decoding import Decode

Videos = Annotated[int, Range(4)]
Seconds = Annotated[float, "SECONDS", Range(0, 3600)]


def demo(out: Folder = Path("wsvad-demo"), videos: Videos = 48, seed: Seed = 0) -> int:
    """Run the whole pipeline on a simulated camera, offline: record, extract, train, evaluate, report.

    Args:
        out: Folder for everything that the demo makes.
        videos: Videos that the simulated camera records.
        seed: Decides what happens in them.
    """
    return int(import_module("wsvad.cli.demo").run(out, videos, seed))


def check(
    folder: Folder,
    labels: File | None = None,
    intervals: File | None = None,
    raw_rate: Positive | None = None,
    json: bool = False,
) -> int:
    """Look through a folder of videos before training: what will be read, what not, and whether it can teach.

    Names every file that is not read, with its reason; videos that are the same or share a part, encoded another time
    or not (by the first 30 seconds); test videos that overlap training ones; too few videos of a class; and shortcuts:
    whether the label follows from size, rate, codec, bit rate, length, hour or first picture. Nothing is written. Exit
    status 1 if something has to be fixed, 3 if only some files are not read.

    Args:
        folder: Folder of videos, with labels or without.
        labels: labels.csv (video,label[,category][,split][,camera]), if it is not in the folder.
        intervals: intervals.csv (video,category,start_frame,end_frame) of the test videos, if it is not beside labels.
        raw_rate: Frames per second of raw streams (.h264, .hevc) that do not say it.
        json: Print all of it as JSON.
    """
    from wsvad.cli.surveys import show_survey
    from wsvad.doctor.survey import survey

    found = survey(folder, labels, intervals, raw_rate=raw_rate)
    if json:
        show_json(found.as_dict())
    else:
        show_survey(found)
    return FOUND_WRONG if found.wrong else LEFT_OUT if found.unread else DONE


def train(
    folder: Folder,
    config: Any,
    protocol: Any,
    streams: dict[str, str],
    labels: File | None = None,
    intervals: File | None = None,
    method: str = DEFAULT_METHOD,
    modalities: Names | None = None,
    teacher: Run | None = None,
    out: Run = Path("runs/detector"),
    features: Folder | None = None,
    max_false_alarms_per_hour: Positive | None = None,
    workers: Whole | None = None,
    all: bool = False,
    rate: Rate | None = None,
    decode: Decode = "exact",
    raw_rate: Positive | None = None,
    memory: Size | None = None,
) -> int:
    """Learn a detector from a folder of videos that are labelled normal or abnormal as a whole.

    Interrupt at any time; run the command again to resume.

    Args:
        folder: Folder of videos, with labels.csv or with subfolders named after what they show (normal, fight …).
        labels: labels.csv or .xlsx (video,label[,category][,split][,camera]), if it is not in the folder.
        intervals: intervals.csv (video,category,start_frame,end_frame) of test videos, if not beside labels; or none.
        method: One of 'wsvad methods', or auto: what fits best.
        modalities: Extra training streams besides rgb, of a method that has them (default: all supported).
        teacher: Run folder of a trained teacher, for a method that has one (default: it trains its own).
        out: Run folder to write.
        features: Folder for the features; runs that share it extract only once (default: in the run folder).
        max_false_alarms_per_hour: Budget for choosing the threshold on held-out normal videos (default: 1).
        workers: Processes that extract; 0 uses this process (default: one per core).
        all: Also print the best result on the test videos, which is no honest estimate.
        rate: Frames per second to resample all videos to (default: their own).
        decode: How videos are decoded, here and when it scores: exact, or fast, see 'wsvad extract --help'; hardware
            decodes here alone.
        raw_rate: Frames per second of raw streams (.h264, .hevc) that do not say it.
        memory: Of features, in memory; the rest is read from disk, with the same result (default: 4GiB).
    """
    from wsvad.cli.surveys import first_lines
    from wsvad.cli.tables import selections_table
    from wsvad.datasets.folder import open_folder
    from wsvad.doctor.survey import survey_of
    from wsvad.runs.folder import RunFolder
    from wsvad.training.train import train_detector

    if method == AUTO_METHOD:
        refuse("a method that is chosen (--method auto)", {"--modalities": modalities, "--teacher": teacher})
        asked = dict(streams) or {"rgb": "auto"}
    else:
        config = narrowed(config, modalities, method)
        refuse_teacher(method, config, teacher)
        asked = encoders_for(streams, [(method, config)])
    budget = budget_of(max_false_alarms_per_hour, protocol)
    dataset = open_folder(folder, labels, intervals, seed=protocol.first_seed, split=RunFolder(out).split())
    tell(first_lines(survey_of(folder, dataset, raw_rate=raw_rate, thorough=False)))
    fitted, failed = train_detector(
        dataset,
        resolved(asked, features),
        method,
        config,
        protocol,
        out,
        teacher=teacher,
        features=features,
        max_false_alarms_per_hour=budget,
        workers=workers,
        raw_rate=raw_rate,
        rate=rate,
        decode=decode,
        memory=memory_of(memory),
    )
    show(selections_table(fitted.metrics, everything=all))
    tell(fitted.ending)
    say(f"detector in {out}, report in {out / 'report.html'}")
    return left_out(failed)


def score(
    videos: list[Video],
    model: Run,
    mode: Literal["whole", "online"] = "whole",
    out: Folder = Path("scores"),
    threshold: Score | None = None,
    max_false_alarms_per_hour: Positive | None = None,
    format: Names = "csv,json",
    raw_rate: Positive | None = None,
    device: Annotated[str, "DEVICE"] = "auto",
    overlay: bool = False,
    clips: bool = False,
    clip_margin: Seconds | None = None,
    start: Annotated[str, "TIME"] | None = None,
    name_pattern: Annotated[str, "PATTERN"] | None = None,
    time_zone: Annotated[str, "ZONE"] | None = None,
    between: Annotated[str, "HH:MM-HH:MM"] | None = None,
    days: Annotated[str, "DAY-DAY"] | None = None,
    json: bool = False,
) -> int:
    """Find when something abnormal happens in videos: scores, events, a report page.

    Interrupt at any time; run the command again to resume. Only videos that are new, or have changed, are scored: of
    a folder that grows, run the same command every night.

    Args:
        videos: Video files, or folders of them.
        model: Run folder of a trained detector.
        mode: whole: look at all of a video at once. online: score each moment by what came before, as on a live camera.
        out: Folder for the report and the other results.
        threshold: Score at which an event starts, for this call (default: the run's, see 'wsvad threshold').
        max_false_alarms_per_hour: Budget for choosing another threshold, for this call.
        format: Results besides the report: csv, json, srt and vtt (subtitles), edl (editors), ics (calendars).
        raw_rate: Frames per second of raw streams (.h264, .hevc) that do not say it.
        device: Where networks run: cpu, cuda, cuda:N, mps, or auto, the fastest of them.
        overlay: Also write each video with its score curve drawn in, as MP4.
        clips: Also write each event as a video of its own, into the folder clips.
        clip_margin: Seconds of a clip before and after its event (default: 5).
        start: Start of the recording, 2024-01-15T09:30 (default: name or metadata).
        name_pattern: Where names have it: {camera}_{date}_{time} (default: known forms).
        time_zone: Of these times, such as Europe/Berlin (default: this computer's).
        between: Report only events in these hours, such as 22:00-06:00.
        days: And on these days, such as mon-fri; a night is of its first day.
        json: Print scores.json on stdout instead of a table.
    """
    from wsvad.cli.score_files import score_files
    from wsvad.cli.score_outputs import Outputs, clock_of
    from wsvad.cli.tables import events_table
    from wsvad.detection.alert_hours import AlertHours
    from wsvad.detection.timeline import as_json
    from wsvad.pages.event_clips import MARGIN

    if not clips:
        refuse("results without --clips", {"--clip-margin": clip_margin})
    outputs = Outputs(
        overlay=overlay,
        clips=(MARGIN if clip_margin is None else clip_margin) if clips else None,
        formats=names("--format", format),
        clock=clock_of(start, name_pattern, time_zone),
        hours=AlertHours.of(between, days),
    )
    found = score_files(
        videos,
        model,
        mode=mode,
        out=out,
        threshold=threshold,
        max_false_alarms_per_hour=max_false_alarms_per_hour,
        outputs=outputs,
        device=device,
        raw_rate=raw_rate,
    )
    if json:  # also where nothing could be scored: a program reads why
        show_json(as_json(found.timelines, found.failed))
    elif found.timelines:
        show(events_table(found.timelines))
    if found.timelines:
        tell(found.sentences)
        say(f"report.html and the other results are in {out}")
    status = left_out(found.failed)
    return status if found.timelines else FOUND_WRONG


def audit(run: Run, out: File | None = None, json: bool = False) -> int:
    """Find labels of training videos that are contradicted by what the videos show.

    Each training video is judged by fits that have not seen it. The most suspicious come first, with the chance that
    the label is wrong; RUN/audit.html shows them with a picture. Says also where the labels as a whole cannot be
    predicted from the videos, or seem to be inverted.

    Args:
        run: Run folder of a trained detector.
        out: labels.csv to write, the most suspicious first: correct it, and train again with --labels.
        json: Print all training videos as JSON.
    """
    from wsvad.cli.tables import suspects_table
    from wsvad.doctor.audit import audit as audit_run
    from wsvad.doctor.audit import write_labels
    from wsvad.pages.audit import write_audit

    found, page = audit_run(run), run / "audit.html"
    if out:
        write_labels(out, found)
    write_audit(page, found)
    if json:
        show_json(found.as_json())
    else:
        show(suspects_table(found))
    tell(found.sentences)
    say(f"the most suspicious videos with pictures are in {page}")
    if out:
        truth = f" --intervals {found.intervals}" if found.intervals else ""
        say(f"labels to correct are in {out}; then train again with --labels {out}{truth}")
    return DONE


def distill(
    run: Run,
    to: Annotated[str, "STREAM"],
    config: Any,
    protocol: Any,
    streams: dict[str, str],
    data: DataFolder | None = None,
    labels: File | None = None,
    intervals: File | None = None,
    features: Folder | None = None,
    out: Run = Path("runs/student"),
    max_false_alarms_per_hour: Positive | None = None,
    workers: Whole | None = None,
    all: bool = False,
) -> int:
    """Make a finished run cheaper: a student that reads one stream learns from the run's scores.

    The run may be of any method. A run of dakd teaches by its features as well.

    Args:
        run: Run folder of the teacher.
        to: Stream that the student reads.
        data: Dataset folder that the run learned from (default: where it was then).
        labels: labels.csv, if it is not in the data folder.
        intervals: intervals.csv, if it is not beside the labels; or none.
        features: Feature folder (default: the run's).
        out: Run folder to write.
        max_false_alarms_per_hour: Budget for choosing the threshold on held-out normal videos (default: 1).
        workers: Processes that extract; 0 uses this process (default: one per core).
        all: Also print the best result on the test videos, which is no honest estimate.
    """
    from wsvad.cli.tables import selections_table
    from wsvad.methods.dakd import DakdConfig
    from wsvad.training import distill as teaching

    if data is None:
        refuse(
            "the dataset that is recorded in the run; name the dataset with --data",
            {"--labels": labels, "--intervals": intervals},
        )
    refuse("this verb, where the run is the teacher", {"--config.given": config.given})
    if config.student not in (DakdConfig().student, to):
        refuse(f"--to {to}", {"--config.student": config.student})
    budget = budget_of(max_false_alarms_per_hour, protocol)
    given = resolved(streams)
    lesson = teaching.lesson_of(
        run, to, config, given, data=data, labels=labels, intervals=intervals, features=features
    )
    refuse_own_truth(lesson.dataset, labels, intervals)
    refuse_encoders(lesson, given)
    if to not in lesson.streams:
        asked = {"--max-false-alarms-per-hour": max_false_alarms_per_hour, "--workers": workers}
        refuse(f"a student whose encoder of {to} is not known: it can score features only", asked)
    fitted, failed = teaching.distill(lesson, protocol, out, max_false_alarms_per_hour=budget, workers=workers)
    show(selections_table(fitted.metrics, everything=all))
    tell(fitted.ending)
    say(f"student in {out}")
    return left_out(failed)


def refuse_encoders(lesson: Any, given: dict[str, str]) -> None:
    """Stop at encoders of streams that a lesson does not read, or that its run makes in another way."""
    for stream, spec in given.items():
        option = option_of(stream, spec)
        if stream not in lesson.config.backbones:
            refuse(
                f"this student and its teacher, which read only {', '.join(lesson.config.backbones)}", {option: spec}
            )
        if lesson.streams[stream] != spec:
            raise UsageError(f"{option}: the run makes {stream} with {lesson.streams[stream]}; leave it out")


def add_category(run: Run, name: str, videos: list[Video], out: Run | None = None) -> int:
    """Add a category to a finished run from a few videos, without training it again.

    Everything else that the run has learned stays as it is, to the byte. The run itself is not changed.

    Args:
        run: Run folder of a method with categories.
        name: The new category.
        videos: Videos that show it, or folders of them.
        out: Run folder to write, never over another (default: beside the run, with the category's name added).
    """
    from wsvad.cli.tables import shares_table
    from wsvad.training.grow import grow

    grown = grow(run, name, videos, out)
    show(shares_table(grown))
    say(grown.sentence)
    say(f"new run in {grown.out}")
    return DONE


def budget_of(given: float | None, protocol: Any) -> float:
    """False alarms per hour that the threshold is chosen by; without held-out videos there is none to choose."""
    if protocol.hold_out == 0:
        refuse("--hold-out 0, which leaves no video to choose a threshold on", {"--max-false-alarms-per-hour": given})
    return DEFAULT_BUDGET if given is None else given
