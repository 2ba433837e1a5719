"""`wsvad threshold`: what each threshold does, and the one that a person sets."""

import json
import shutil

import numpy as np
import pytest
from turned import bursts, finished_run, known

from wsvad.cli.main import main
from wsvad.detection.choose import chosen_before, operating_curves
from wsvad.detection.detector import Detector
from wsvad.detection.threshold import hours_needed
from wsvad.errors import WsvadError
from wsvad.files import sha256
from wsvad.metrics.events import EventRules
from wsvad.runs.folder import RunFolder
from wsvad.runs.sealed import sealed

PEAKS = np.linspace(0.2, 0.9, 8)
NORMAL = bursts(PEAKS, seconds=450.0)
"""11.25 hours with eight alarms."""
VIDEO = {"rgb": np.zeros((3, 3), np.float32)}


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return finished_run(tmp_path / "gate", NORMAL, known([0.95, 0.85, 0.3, 0.1]), hours=11.25)


def said(capsys, *words: str, code: int = 0) -> tuple[str, str]:
    assert main(["threshold", *words]) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


def contents(run: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.path.iterdir() if path.name != "threshold.html"}


def test_shows_the_curve_and_changes_nothing(run, capsys):
    before = contents(run)
    table, err = said(capsys, str(run.path))
    head, *rows = [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")]
        for line in table.splitlines()
        if "│" in line or "┃" in line
    ]
    assert head == ["threshold", "false alarms", "per hour (95 %)", "per day (95 %)", "events found"]
    # Garwood's interval of five in 11.25 h would be .144 to 1.04; a detector that may differ has a wider one.
    (five,) = [row for row in rows if row[1] == "5"]
    assert five[2].startswith("0.44 (0.13 to ") and five[3].startswith("11 (3.1 to ")
    assert sum("(in use)" in row[0] for row in rows) == 1
    assert "cannot tell budgets below 0.31 false alarms/h (7.3/day) apart: they all give the same threshold" in err
    more = hours_needed(1 / 24) - 11.25
    assert f"For 1 false alarm/day, 83 h of normal training video are needed in all, {more:.0f} h more" in err
    assert contents(run) == before
    assert "False alarms per day" in run.threshold_page.read_text()


def test_json_has_the_whole_curve_and_what_is_in_use(run, capsys):
    out, _ = said(capsys, str(run.path), "--json", "--mode", "online")
    told = json.loads(out)
    assert (told["mode"], told["set_by"], told["fits"], told["known_events"]) == ("online", None, 5, 4)
    assert told["hours"] == pytest.approx(11.25) and told["hours_in_all"] == 11.25
    for point in told["curve"]:
        assert point["false_alarms"] == sum(point["threshold"] <= PEAKS)
        assert point["found"] == sum(peak >= point["threshold"] for peak in (0.95, 0.85, 0.3, 0.1))
        assert point["per_day"] == pytest.approx([24 * rate for rate in point["per_hour"]])
    assert told["in_use"]["threshold"] == told["threshold"]


@pytest.mark.parametrize(
    ("words", "low", "high", "says"),
    [
        (["--set", "0.65"], 0.65, 0.65, "Threshold 0.65 for whole-video mode, set by hand (--set 0.65): 3 false alarms "
            "in 11 h of normal video, "),
        (["--find", "0.5"], 0.84998, 0.85, "Threshold 0.85 for whole-video mode, set by hand (--find 0.5): 1 false "),
        (["--max-false-alarms-per-day", "24"], 0.6, 0.60002, "by hand (--max-false-alarms-per-day 24). ≤ 0.86 false "),
        (["--max-false-alarms-per-hour", "1"], 0.6, 0.60002, "by hand (--max-false-alarms-per-hour 1). ≤ 0.86 false "),
    ],
)  # fmt: skip
def test_sets_the_threshold_remembers_how_and_goes_back(run, words, low, high, says, capsys):
    before, scored = contents(run), run.scoring_hash()
    weights = sha256(run.path / "model.safetensors")
    _, err = said(capsys, str(run.path), *words)
    detector = Detector.load(run.path)
    assert low <= detector.calibrations.threshold("whole") <= high
    assert says in err and says in detector.calibrations.sentence("whole")
    assert "2 of 4 known events found, measured on the test videos themselves" in err
    assert detector.score(VIDEO).threshold == detector.calibrations.threshold("whole")
    # The other mode, the weights and what videos score are as they were; only model.json was written.
    assert "set by hand" not in detector.calibrations.sentence("online")
    assert {name for name, content in contents(run).items() if before[name] != content} == {"model.json"}
    assert (sha256(run.path / "model.safetensors"), run.scoring_hash()) == (weights, scored)
    assert f"{words[0]} {words[1]}" in run.threshold_page.read_text()
    said(capsys, str(run.path), "--reset")
    assert contents(run) == before


def test_each_mode_is_set_by_itself(run, capsys):
    said(capsys, str(run.path), "--set", "0.3")
    said(capsys, str(run.path), "--set", "0.4", "--mode", "online")
    said(capsys, str(run.path), "--set", "0.35")
    found = Detector.load(run.path).calibrations
    assert (found.threshold("whole"), found.threshold("online")) == (0.35, 0.4)
    assert {mode: choice.by for mode, choice in found.chosen.items()} == {"whole": "--set 0.35", "online": "--set 0.4"}


def test_for_one_call_a_threshold_or_a_budget_goes_before_what_was_set(run, capsys):
    said(capsys, str(run.path), "--set", "0.3")
    once = Detector.load(run.path, threshold=0.8).calibrations
    assert once.threshold("whole") == once.threshold("online") == 0.8
    assert once.sentence("online").startswith(
        "Threshold 0.8 for online mode on a running camera, for this call only (--threshold 0.8): 2 false alarms"
    )
    budget = Detector.load(run.path, max_false_alarms_per_hour=1).calibrations
    assert budget.threshold("whole") == pytest.approx(0.6, abs=2e-5) and not budget.chosen
    assert Detector.load(run.path).calibrations.threshold("whole") == 0.3


def test_footage_that_cannot_tell_budgets_apart_is_said(tmp_path, capsys):
    run = finished_run(tmp_path / "gate", bursts([0.6], seconds=6.0), fits=1, hours=0.2)
    found = {}
    for budget in ("1", "24", "1440"):
        _, err = said(capsys, str(run.path), "--max-false-alarms-per-day", budget)
        assert "2 min of normal video cannot tell budgets below 103 false alarms/h (2,476/day) apart" in err
        assert "Only these of 12 min were scored by a fit that had not seen them; the same 'train' command with" in err
        assert "--max-false-alarms-per-hour 18 scores all. For 1 false alarm/day, 83 h of normal" in err
        assert "training video are needed in all, 82 h more" in err
        found[budget] = Detector.load(run.path).calibrations.threshold("whole")
    assert len(set(found.values())) == 1


def test_a_run_without_anything_to_go_by_takes_a_threshold_and_nothing_else(tmp_path, capsys):
    run = finished_run(tmp_path / "imported")
    out, err = said(capsys, str(run.path), "--set", "0.8")
    assert out == "" and "how many false alarms it has is not known" in err
    assert "No scores of normal training video were kept" in err
    assert Detector.load(run.path).calibrations.threshold("online") == 0.8  # there is no other for it
    _, err = said(capsys, str(run.path), "--find", "0.9", code=2)
    assert "--find 0.9: the run knows of no event; add intervals.csv" in err
    _, err = said(capsys, str(run.path), "--max-false-alarms-per-hour", "1", code=1)
    assert "keeps no scores of held-out normal video" in err
    assert Detector.load(run.path).calibrations.threshold("whole") == 0.8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "0.5", "--find", "1"], "--set and --find: give one of them"),
        (["--set", "0.5", "--reset"], "--set and --reset: give one of them"),
        (["--set", "0"], "--set 0: a number, above 0 to 1"),
        (["--set", "80"], "--set 80: a number, above 0 to 1"),
        (["--set", "nan"], "--set nan: a number"),
        (["--find", "90"], "--find 90: a number, above 0 to 1"),
        (["--max-false-alarms-per-day", "0"], "--max-false-alarms-per-day 0: a number, above 0"),
        (["--mode", "live"], "--mode live: whole or online"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_changes_nothing(run, words, says, capsys):
    before = contents(run)
    _, err = said(capsys, str(run.path), *words, code=2)
    assert says in err and err.count("\n") == 1
    assert contents(run) == before


def test_an_event_that_no_threshold_finds_is_said(tmp_path, capsys):
    run = finished_run(tmp_path / "gate", NORMAL, known([0.9, 0.0]))
    said(capsys, str(run.path), "--find", "0.5")
    _, err = said(capsys, str(run.path), "--find", "1", code=2)
    assert "--find 1: no threshold finds more than 1 of the 2 known events; ask for less" in err


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_damaged_run_is_not_sealed_again(run, name, capsys):
    path = run.path / name
    path.write_bytes(path.read_bytes().replace(b'"window": 64', b'"window": 65') if name == "model.json" else b"x")
    _, err = said(capsys, str(run.path), "--set", "0.5", code=1)
    assert str(path) in err
    with pytest.raises(Exception, match=name):
        Detector.load(run.path)


def test_a_run_of_the_first_format_takes_a_threshold_and_becomes_one_of_this(run, capsys):
    path = run.path / "model.json"
    record = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("sha256", "weights")}
    whole = record.pop("calibration")["modes"]["whole"]
    old = {name: whole[name] for name in whole if name not in ("mode", "fits", "spread")}
    path.write_text(json.dumps(record | {"format": 2, "threshold": old}))
    scored = run.scoring_hash()
    said(capsys, str(run.path), "--set", "0.3")
    assert json.loads(path.read_text())["format"] == 4
    found = Detector.load(run.path).calibrations
    assert (found.threshold("whole"), found.each["whole"].threshold) == (0.3, whole["threshold"])
    assert run.scoring_hash() == scored
    said(capsys, str(run.path), "--reset")
    assert Detector.load(run.path).calibrations.threshold("whole") == whole["threshold"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"times": [0.0, 1.0]}, "k.mp4: 50 scores for calibration do not go with 2 times"),
        ({"events": [[1.0]]}, r"known.whole.0.events.0 is \[1.0\] instead of a list of 2"),
        ({"split": "later"}, "known.whole.0.split is 'later' instead of train or test"),
        ({"scores": [2.0]}, "known.whole.0.scores.0 is 2.0"),
    ],
)
def test_known_events_that_were_damaged_are_refused(run, change, says):
    path = run.path / "calibration.json"
    record = json.loads(path.read_text())
    record["known"]["whole"][0] |= change
    path.write_text(json.dumps(sealed(record)))
    with pytest.raises(WsvadError, match=says):
        operating_curves(run, EventRules())


def test_the_page_of_a_run_that_knows_events_alone_or_nothing(tmp_path, capsys):
    events = finished_run(tmp_path / "events", events=known([0.9, 0.4]))
    table, _ = said(capsys, str(events.path))
    assert "events found" in table and "per day" not in table
    page = events.threshold_page.read_text()
    assert "Known events found, percent" in page and "False alarms per day" not in page
    nothing = finished_run(tmp_path / "nothing")
    said(capsys, str(nothing.path))
    page = nothing.threshold_page.read_text()
    assert "No scores of normal training video were kept" in page and "<svg" not in page and "<table" not in page


def test_a_folder_that_cannot_be_written_to_is_still_shown(run, monkeypatch, capsys):
    run.threshold_page.mkdir()  # nothing can be renamed over a folder
    out, err = said(capsys, str(run.path))
    assert "false alarms" in out and "the curve was not drawn" in err and str(run.threshold_page) in err


def test_what_is_there_twice_or_not_at_all_is_no_run(tmp_path, capsys):
    _, err = said(capsys, str(tmp_path / "no"), code=1)
    assert "not a finished run" in err


def test_a_new_fit_says_that_the_threshold_of_the_earlier_one_is_not_kept(run, capsys, caplog):
    said(capsys, str(run.path), "--set", "0.3")
    curves = operating_curves(run, EventRules())
    assert chosen_before(run, 0, curves) == {}  # the weights of seed 0 are not the run's
    assert caplog.messages == [
        "Threshold 0.3 for whole-video mode, set by hand (--set 0.3), is not kept, because the new fit has other "
        f"scores: 'wsvad threshold {run.path}' sets one"
    ]
    caplog.clear()
    run.seed(0).path.mkdir()
    shutil.copy(run.path / "model.safetensors", run.seed(0).path)
    assert {mode: choice.threshold for mode, choice in chosen_before(run, 0, curves).items()} == {"whole": 0.3}
    assert not caplog.messages


def test_a_copy_keeps_the_threshold(run, tmp_path, capsys):
    said(capsys, str(run.path), "--set", "0.3")
    shutil.copytree(run.path, tmp_path / "copy")
    assert Detector.load(tmp_path / "copy").calibrations.threshold("whole") == 0.3
