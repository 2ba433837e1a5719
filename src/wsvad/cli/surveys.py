"""What `wsvad check`, `wsvad extract --plan`, and `wsvad train` at its beginning, say of a folder."""

from collections.abc import Iterator

from wsvad.cli.output import show, show_lines, table
from wsvad.doctor.examine import sentences
from wsvad.doctor.plan import Plan
from wsvad.doctor.survey import Survey
from wsvad.pages.words import count
from wsvad.progress import duration

SHOWN = 20
"""Files that are listed; all are in the JSON."""
NAMED = 5
"""Names of files that are no videos."""
WORDS = {"train": "training", "test": "test"}


def show_survey(found: Survey) -> None:
    """All of it, for readers."""
    show(f"{found.folder}: {_total(found)}")
    if found.labelled and found.videos:
        rows = [(WORDS[split], kind, f"{count:,}", amount(hours)) for split, kind, count, hours in found.rows()]
        show(table(("split", "class", "videos", "length"), rows, numbers=2))
    lines = [*_unread(found), *_others(found)]
    if found.drawn:
        lines.append("no split is given: the test videos are drawn by chance")
    if not found.labelled and not any(finding.kind == "labels" for finding in found.findings):
        lines.append("no labels: no labels.csv, and no subfolder called normal; nothing is said about labels")
    if found.findings:
        lines += sentences("findings", found.findings)
    elif found.labelled:
        lines.append("nothing else found: no copies, no shortcut, enough videos to begin with")
    show_lines(lines)


def first_lines(found: Survey) -> Iterator[str]:
    """The same in short, before training. Videos that cannot be decoded are named when they are read."""
    sides = [
        f"{word}: " + ", ".join(f"{count:,} {kind}" for side, kind, count, _ in found.rows() if side == split)
        for split, word in WORDS.items()
    ]
    yield f"{_total(found)} ({'; '.join(sides)})"
    if unread := [entry for entry in found.unread if not entry.opened]:
        one = f"{unread[0].file}: {unread[0].reason}"
        more = f"; {len(unread) - 1:,} more, see 'wsvad check'" if len(unread) > 1 else ""
        yield f"not read: {one}{more}"
    for finding in found.findings:
        yield "; ".join(filter(None, (f"{finding.kind}: {finding.message}", finding.remedy)))


def show_plan(found: Plan) -> None:
    """What an extraction will come to, for readers."""
    there = found.videos - found.left
    done = f"; {there:,} of them have their features in {found.out}" if there else ""
    show(f"{found.folder}: {count(found.videos, 'video')}, {amount(found.hours)}{done}")
    if found.measured is None:
        show("nothing is left to do" if found.videos else "there is nothing to do")
        return
    rows = [
        (
            one.stream,
            one.encoder,
            f"{one.videos:,}",
            f"{one.snippets:,}",
            "×".join(map(str, one.shape)),
            size(one.bytes),
        )
        for one in found.streams
    ]
    show(table(("stream", "encoder", "videos", "snippets", "features", "size"), rows, numbers=4))
    measured = found.measured
    shares = ", ".join(f"{what} {share:.0%}" for what, share in measured.shares.items() if share >= 0.05)
    where = f"{found.workers} process{'es' * (found.workers != 1)}, {found.device}"
    speed = f"{measured.frames_per_second:,.0f} frames/s over {duration(measured.seconds)}"
    room = ""
    if found.free is not None:
        more = "; that is more than there is" if found.bytes > found.free else ""
        room = f"; {size(found.free)} are free at {found.out}{more}"
    show_lines(
        [
            f"measured: {speed} ({where}{': ' * bool(shares)}{shares})",
            f"time: about {duration(found.seconds)} for {found.frames:,} frames",
            f"size: {size(found.bytes)}{room}",
        ]
    )


def size(number: int) -> str:
    """`12.3 GB`, `4.0 MB`."""
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def amount(hours: float) -> str:
    """`3.2 h`, `12 min`, `40 s`."""
    seconds = round(hours * 3600)
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds / 60:.0f} min" if seconds < 3570 else f"{hours:,.1f} h"


def _total(found: Survey) -> str:
    unknown = sum(one.facts.seconds is None for one in found.videos)
    beside = f", {unknown:,} of them of unknown length" if unknown else ""
    return f"{len(found.videos):,} video{'s' * (len(found.videos) != 1)}, {amount(found.hours)}{beside}"


def _unread(found: Survey) -> Iterator[str]:
    unread = found.unread
    if not unread:
        return
    yield f"not read: {len(unread):,} file{'s' * (len(unread) > 1)}"
    yield from (f"  {entry.file}: {entry.reason}" for entry in unread[:SHOWN])
    if len(unread) > SHOWN:
        yield f"  … and {len(unread) - SHOWN:,} more; --json lists all"


def _others(found: Survey) -> Iterator[str]:
    others = [entry.file for entry in found.entries if entry.kind == "other"]
    if others:
        more = " …" if len(others) > NAMED else ""
        yield f"no videos, left alone: {len(others):,} (" + ", ".join(others[:NAMED]) + more + ")"
