"""The page as a file: what it says, what it never says, and that nothing in it reaches out. See also tests/e2e."""

import base64
import io
import re
from fractions import Fraction
from pathlib import Path

import av
import hypothesis.strategies as st
import numpy as np
import pytest
from clips import write_clip
from hostile import HOSTILE
from hypothesis import given
from timelines import Page, event, timeline, write

from wsvad.detection.explanation import Explanation
from wsvad.metrics.interval import Interval
from wsvad.pages import report
from wsvad.pages.chart import envelope
from wsvad.pages.preview import Stills, at_rate, make_preview
from wsvad.pages.report import ReportSummary, write_report
from wsvad.pages.verdict import inside_truth, verdict
from wsvad.video.reader import VideoReader
from wsvad.video.writer import write_video


def fight(start: int, end: int) -> Interval:
    return Interval(start=start, end=end, category="fight")


def make_video(path: Path, frames: int = 48, rate: int = 10, size: tuple[int, int] = (96, 64)) -> Path:
    """Each frame's grey tells its number."""
    width, height = size
    write_video(path, (np.full((height, width, 3), 20 + 3 * i, np.uint8) for i in range(frames)), rate, crf=10)
    return path


@pytest.mark.parametrize(
    ("events", "label", "truth", "expected"),
    [
        ([(0, 16)], None, None, "alarm"),
        ([], None, None, "silent"),
        ([(0, 16)], 0, None, "false"),
        ([], 0, (), "quiet"),
        ([], 1, None, "missed"),
        ([(0, 16)], 1, None, "found"),
        ([(0, 16)], 1, [(15, 20)], "found"),
        ([(0, 16)], 1, [(16, 20)], "elsewhere"),
        ([(0, 16), (32, 48)], 1, [(16, 20), (40, 44)], "found"),
        ([(0, 16)], None, [(0, 3)], "found"),
        ([(0, 16)], None, [], "false"),
    ],
)
def test_verdict(events, label, truth, expected):
    truth = None if truth is None else tuple(fight(*ends) for ends in truth)
    assert verdict(timeline(events=[event(*ends) for ends in events], label=label, truth=truth)) == expected


def test_share_of_the_events_inside_the_truth_counts_each_frame_once():
    events = [event(0, 10), event(8, 20), event(40, 60)]  # the last one beyond the end
    truth = (fight(5, 12), fight(10, 16), fight(46, 99))  # frames 5–15 and 46–47
    line = timeline(events=events, truth=truth, label=1)
    expected = len({*range(5, 16), 46, 47}) / len({*range(20), *range(40, 48)})
    assert inside_truth(line) == pytest.approx(expected)
    assert inside_truth(timeline(events=[], truth=truth)) == 0


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=300),
    steps=st.lists(st.floats(0.01, 5), min_size=300, max_size=300),
    points=st.integers(1, 40),
)
def test_envelope_is_the_highest_score_over_each_span(scores, steps, points):
    times = np.concatenate([[0.0], np.cumsum(steps[: len(scores)])])
    borders, heights = envelope(times, np.array(scores), points)
    assert len(heights) <= points or len(scores) <= points
    assert len(borders) == len(heights) + 1
    assert (borders[0], borders[-1]) == (times[0], times[-1])
    for start, end, height in zip(borders[:-1], borders[1:], heights, strict=True):
        inside = [s for s, a, b in zip(scores, times[:-1], times[1:], strict=True) if a < end and b > start]
        assert height == max(inside)


def test_page_asks_nothing_of_a_network(tmp_path: Path):
    video = make_video(tmp_path / "a.mp4")
    page = write(tmp_path / "report.html", [timeline(path=video)])
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r'base64,[^"]*', "", page.source.split("<script")[0]))
    for _, attributes in page.tags:
        for name in ("src", "href", "poster", "data-original"):
            address = attributes.get(name) or "data:"
            assert address.startswith("data:") or address == "./a.mp4"
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "script-src 'unsafe-inline'" not in policy


@pytest.mark.parametrize(("evil", "shown"), HOSTILE.items())
def test_names_are_text_wherever_they_stand(tmp_path: Path, evil: str, shown: str):
    harmless = report_full_of(tmp_path / "a.html", "harmless")
    page = report_full_of(tmp_path / "r.html", evil)
    for _, attributes in page.tags + harmless.tags:
        attributes.pop("data-camera", None)  # the folder in a name, which the harmless one has not
    replaced = [
        (tag, {key: value and value.replace("harmless", shown) for key, value in attributes.items()})
        for tag, attributes in harmless.tags
    ]
    assert page.tags == replaced
    assert page.words == harmless.words.replace("harmless", shown)
    assert harmless.source.count("harmless") > 25


def report_full_of(path: Path, name: str) -> Page:
    """A report in which a name stands wherever one can stand."""
    explanation = Explanation(
        categories=(name, "other"), class_scores=np.full((3, 2), 0.5), shift=None,
        event_embeddings=np.eye(2), prototypes=np.eye(2),
    )  # fmt: skip
    line = timeline(
        name, events=(event(0, 16), event(32, 48)), category=name, label=1, explanation=explanation,
        truth=(Interval(start=0, end=3, category="third " + name),), attributions={name: np.ones(3)},
    )  # fmt: skip
    summary = ReportSummary(model=name, threshold=f"{name}!", notes=[name], metrics={"last": {name: 0.5}})
    write_report(path, [line], title=name, summary=summary)
    return Page(path)


def test_link_to_a_video_is_relative_and_quoted(tmp_path: Path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "out").mkdir()
    video = make_video(tmp_path / "videos" / "100% #1?.mp4", frames=4)
    page = write(tmp_path / "out" / "report.html", [timeline(path=video)])
    assert [a["href"] for a in page.all("a")] == ["./../videos/100%25%20%231%3F.mp4"]
    assert str(tmp_path) not in page.source


def test_small_copy_is_playable_and_on_the_same_clock(tmp_path: Path):
    video = make_video(tmp_path / "a.mp4", frames=60, rate=30)
    page = write(tmp_path / "report.html", [timeline(path=video)])
    encoded = re.search(r'<script type="text/plain" id="copy-v0">([^<]+)</script>', page.source)
    assert encoded
    (tmp_path / "copy.mp4").write_bytes(base64.b64decode(encoded[1]))
    with VideoReader(tmp_path / "copy.mp4") as copy:
        frames = [(float(frame.time), frame.array().mean()) for frame in copy]
        assert (copy.info.codec, copy.info.rate) == ("h264", 10)
    assert len(frames) == 20
    for seconds, grey in frames:
        assert grey == pytest.approx(20 + 3 * 30 * seconds, abs=8)  # within two frames of the 30 a second


def test_stills_show_the_frame_at_their_time(tmp_path: Path):
    video = make_video(tmp_path / "a.mp4")
    times = [0.0, 1.04, 1.06, 3.2, 99.0]
    preview = make_preview(video, times, copy_bytes=0)
    assert preview.copy is None
    assert preview.shape == (96, 64)
    for seconds in times:
        picture = av.open(io.BytesIO(preview.stills[seconds]))
        grey = next(picture.decode(video=0)).to_ndarray(format="gray").mean()
        assert grey == pytest.approx(20 + 3 * min(int(seconds * 10), 47), abs=3)


@pytest.mark.parametrize(("name", "seeks"), [("a.mp4", True), ("a.h264", False)])
def test_stills_by_seeking_are_those_of_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name, seeks):
    """Also where a container cannot seek: then the video is decoded after all."""
    video = write_clip(tmp_path / name, 48, rate=10, preset="medium", bf="2", g="12")
    times = [3.2, 0.0, 1.04, 1.06, 99.0]
    with VideoReader(video) as reader:
        last = list(reader)[-1]
    decoded = make_preview(video, times, copy_bytes=0)
    watched: list[object] = []
    monkeypatch.setattr(
        Stills, "watch", lambda self, *given, watch=Stills.watch: watched.append(1) or watch(self, *given)
    )
    assert make_preview(video, times, copy_bytes=0, span=(0.0, float(last.time + last.duration))) == decoded
    assert bool(watched) != seeks


def test_copies_stop_at_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines = [
        timeline(f"{i}.mp4", path=make_video(tmp_path / f"{i}.mp4"), scores=(0.1, 0.9 - i / 10, 0.1)) for i in range(3)
    ]
    one = len(re.search(r'copy-v0">([^<]+)<', write(tmp_path / "r.html", lines[:1]).source)[1])
    monkeypatch.setattr(report, "COPIES_BYTES", 2 * one + 100)
    monkeypatch.setattr(report, "COPY_BYTES_PER_SECOND", 0)
    page = write(tmp_path / "r.html", lines)
    assert [a["id"] for a in page.all("script") if "id" in a] == ["copy-v0", "copy-v1"]
    assert len(page.all("video")) == 3  # the third plays the original
    assert [a.get("data-original") for a in page.all("video")] == [None, None, "./2.mp4"]


def test_unreadable_or_missing_video_costs_only_the_pictures(tmp_path: Path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    lines = [
        timeline("bad.mp4", path=tmp_path / "bad.mp4"),
        timeline("gone.mp4", path=tmp_path / "gone.mp4"),
        timeline("none.mp4"),
    ]
    page = write(tmp_path / "r.html", lines)
    assert len(page.all("article")) == 3
    assert not page.all("video")
    assert page.words.count("0:01.6–0:03.2") == 3


def test_most_suspicious_first(tmp_path: Path):
    lines = [
        timeline("quiet but high", scores=(0.95,), events=()),
        timeline("b", scores=(0.7,), events=[event(0, 16, 0.7)]),
        timeline("a", scores=(0.8,), events=[event(0, 16, 0.8)]),
    ]
    page = write(tmp_path / "r.html", lines)
    assert [a["data-name"] for a in page.all("article")] == ["a", "b", "quiet but high"]


def test_head_counts_events_and_mistakes(tmp_path: Path):
    lines = [
        timeline("1", events=[event(0, 16), event(32, 48)], label=1, truth=(fight(0, 9),)),
        timeline("2", events=[], label=1, truth=(fight(0, 9),)),
        timeline("3", events=[event(0, 16)], label=0, truth=()),
        timeline("4", events=[event(0, 16)], label=1, truth=(fight(20, 30),)),
        timeline("5", events=[], label=0, truth=()),
    ]
    words = write(tmp_path / "r.html", lines).words
    assert "4 events in 3 of 5 videos: 6.4\u00a0s of 24.0\u00a0s." in words
    assert (
        "Compared with the labels of 5 videos: 1 found, 1 missed, 1 with events only at the wrong time, "
        "1 false alarm, 1 correctly without events." in words
    )
    assert words.count("outside the truth") == 2


def test_frame_auc_never_stands_alone(tmp_path: Path):
    words = write(tmp_path / "r.html", [timeline()], metrics={"last": {"auc": 0.9}}).words
    assert "AUC on abnormal videos" in words
    assert "AUC of a constant per video" in words
    assert "–" in words


def test_metrics_table_shows_mean_and_spread_of_each_selection(tmp_path: Path):
    def over_seeds(mean, std):
        return {"mean": mean, "std": std, "values": [mean - std, mean, mean + std]}

    undefined = {"mean": None, "std": None, "values": []}
    metrics = {
        "best_on_test": {"auc": over_seeds(0.99, 0.001)},
        "last": {
            "auc": over_seeds(0.986, 0.0042),
            "auc_constant": over_seeds(0.9, 0),
            "map@0.1": undefined,
            "other": undefined,
        },
    }
    page = write(tmp_path / "r.html", [timeline()], metrics=metrics)
    assert page.words.index("Last") < page.words.index("Best on test")
    assert "98.6 ± 0.4" in page.words
    assert "99.0 ± 0.1" in page.words
    assert "mAP at IoU 0.1" in page.words
    assert "other" in page.words
    assert "over 3 seeds" in page.words
    assert "no evidence" not in page.words


def test_an_interval_stands_beside_the_last_iteration_alone(tmp_path: Path):
    metrics = {"last": {"auc": 0.8, "ap": 0.5}, "held_out": {"auc": 0.7, "ap": 0.4}}
    page = write(tmp_path / "r.html", [timeline()], metrics=metrics, intervals={"auc": [0.712, 0.9]})
    heads = page.words[page.words.index("Last") : page.words.index("Held-out")]
    assert "95 % interval" in heads
    assert "80.0\n71.2 to 90.0\n70.0\n" in page.words.replace("\n\n", "\n").replace("\n\n", "\n")
    assert page.words.count("71.2 to 90.0") == 1
    plain = write(tmp_path / "p.html", [timeline()], metrics=metrics)
    assert "95 % interval" not in plain.words


def test_says_when_a_constant_does_as_well(tmp_path: Path):
    metrics = {"last": {"auc": 0.73, "auc_constant": 0.734}}
    assert "no evidence that it detects when" in write(tmp_path / "r.html", [timeline()], metrics=metrics).words


def test_same_input_same_bytes(tmp_path: Path):
    video = make_video(tmp_path / "a.mp4")
    first = write(tmp_path / "r.html", [timeline(path=video)]).source
    assert write(tmp_path / "r.html", [timeline(path=video)]).source == first


def test_long_curve_is_thinned_and_keeps_its_peak(tmp_path: Path):
    scores = np.zeros(50_000)
    scores[31_337] = 0.875
    page = write(tmp_path / "r.html", [timeline(scores=scores, events=())])
    assert len(page.source) < 100_000
    assert "V12.5H" in next(a["d"] for a in page.all("path") if a["class"] == "line")
    assert '"times":[0.0' in page.all("article")[0]["data-curve"]


def test_at_rate_keeps_time_whatever_the_rate(tmp_path: Path):
    video = make_video(tmp_path / "a.mp4", frames=24, rate=24)
    for rate in (Fraction(24), Fraction(10), Fraction(60)):
        with VideoReader(video) as reader:
            times = [float(frame.time) for frame in at_rate(reader, rate)]
        assert len(times) == rate
        ideal = np.arange(len(times)) / float(rate)
        assert np.abs(np.array(times) - ideal).max() <= max(1 / 24, 0.5 / float(rate)) + 1e-9
        if rate == 24:
            assert times == pytest.approx(ideal)


@pytest.mark.parametrize(
    ("threshold", "low", "words"),
    [
        (0.5, 0.35, "reaches 0.50 and lasts while it stays at 0.35 or above"),
        (0.5, 0.5, "reaches 0.50 and lasts while it stays there"),
        (0.0131, 0.0092, "reaches 0.013 and lasts while it stays at 0.0092 or above"),
        (1.00001, 0.7, "above every score, so no event is ever reported"),
    ],
)
def test_threshold_in_words(tmp_path: Path, threshold: float, low: float, words: str):
    page = write(tmp_path / "r.html", [timeline(threshold=threshold, low=low)], threshold="So it is")
    assert words in page.words
    assert " So it is.\n" in page.words
    assert all(0 <= float(line["y1"]) <= 100 for line in page.all("line"))


def test_strips_show_each_share_over_time_and_events_name_the_largest(tmp_path: Path):
    shares = {"pose": np.array([0.2, 0.7, 0.2]), "<b>flow": np.array([0.8, 0.3, 0.8])}
    write(tmp_path / "r.html", [timeline(attributions=shares)])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count('class="why"') == 2
    assert "pose: 20% to 70% of what the score depends on" in page
    assert "&lt;b&gt;flow" in page and "<b>flow" not in page
    strip = re.search(r"pose: 20% to 70%[^>]*><title>[^<]*</title>(.*?)</svg>", page, re.DOTALL).group(1)
    assert re.findall(r'fill-opacity="([\d.]+)" d="M([\d.]+) 0H([\d.]+)V', strip) == [("1.00", "333.3", "666.7")]
    assert "pose\u00a070%, &lt;b&gt;flow\u00a030%" in page
    write(tmp_path / "s.html", [timeline()])
    assert 'class="why"' not in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_a_long_strip_is_thinned_by_its_mean(tmp_path: Path):
    share = np.repeat([0.0, 1.0], 6000)
    write(tmp_path / "r.html", [timeline(scores=np.zeros(12000), events=(), attributions={"pose": share})])
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    (strip,) = re.findall(r'class="why".*?</svg>', page, re.DOTALL)
    assert len(re.findall(r"M[\d.]+ 0H", strip)) == 60
    assert len(strip) < 5000
