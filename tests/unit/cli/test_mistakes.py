"""A mistake in a command line is one plain line and status 2, before anything is read or written."""

import shlex
from pathlib import Path

import pytest

from wsvad.cli.main import main
from wsvad.errors import UsageError
from wsvad.methods import METHODS
from wsvad.training.protocol import Protocol

VALUES = [
    ("--seeds 0", "a whole number, at least 1"),
    ("--seeds -3", "a whole number, at least 1"),
    ("--seeds 1.5", "a whole number, at least 1"),
    ("--seeds many", "a whole number, at least 1"),
    ("--first-seed -1", "a whole number, from 0 to 4294967295"),
    ("--points 0", "a whole number, at least 1"),
    ("--hold-out 2", "a number, from 0 to below 1"),
    ("--hold-out 1", "a number, from 0 to below 1"),
    ("--hold-out -1e-5", "a number, from 0 to below 1"),
    ("--hold-out nan", "a number, from 0 to below 1"),
    ("--hold-out .nan", "a number, from 0 to below 1"),
    ("--bags 0", "a whole number, at least 1"),
    ("--segments 0", "a whole number, at least 1"),
    ("--iterations 0", "a whole number, at least 1"),
    ("--workers -1", "a whole number, at least 0"),
    ("--device gpu", "not a device of this machine, which has cpu"),
    ("--device cuda:99", "not a device of this machine, which has cpu"),
    ("--max-false-alarms-per-hour 0", "a number, above 0"),
    ("--max-false-alarms-per-hour inf", "a number, above 0"),
    ("--max-false-alarms-per-hour .inf", "a number, above 0"),
    ("--budget tiny", "paper or data"),
    ("--normalise l1", "none, l2, standardise or per-camera"),
    ("--config.hidden 0", "a whole number, at least 1"),
    ("--config.hidden wide", "a whole number, at least 1"),
    ("--config.lr 0", "a number, above 0"),
    ("--config.lr .nan", "a number, above 0"),
    ("--config.kl-weight .inf", "a number"),
    ("--config.dropout 1", "a number, from 0 to below 1"),
    ("--config.local-norm both", "column or row"),
]


def one_line(capsys, line: str, status: int = 2) -> str:
    assert main(shlex.split(line)) == status
    told = capsys.readouterr()
    (said,) = told.err.splitlines()
    assert told.out == "" and said.isprintable()
    return said


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """An empty folder to be in, which stays empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {"settings.yaml", "data"}


@pytest.mark.parametrize(("option", "allowed"), VALUES)
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_a_value_that_cannot_be_is_named_with_what_can(option, allowed, form, capsys):
    said = one_line(capsys, "train nowhere " + form.format(*option.split()))
    assert said.startswith(f"wsvad train: {option}: {allowed}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("toy x --videos 1", "--videos 1: a whole number, at least 4"),
        ("demo --videos 3", "--videos 3: a whole number, at least 4"),
        ("toy x --seed -1", "--seed -1: a whole number, from 0"),
        ("toy x --workers 0", "--workers 0: a whole number, at least 1"),
        ("convert x --out y --stride 0", "--stride 0: a whole number, at least 1"),
        ("score a.mp4 --model r --max-false-alarms-per-hour 0", "--max-false-alarms-per-hour 0: a number, above 0"),
        ("score a.mp4 --model r --mode now", "--mode now: whole or online"),
        ("extract v --out x --workers -1", "--workers -1: a whole number, at least 0"),
        ("train v --out ''", "--out '': the name of a RUN is empty"),
        ("train v --rgb ''", "--rgb '': name an encoder"),
        ("train '' --out r", "'': an argument is empty"),
        ("score a.mp4 '' --model r", "'': an argument is empty"),
    ],
)
def test_other_verbs_check_as_well(line, says, capsys):
    assert f"wsvad {line.split()[0]}: {says}" in one_line(capsys, line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train v --foo 3", "no option '--foo'; did you mean '--flow'? see 'wsvad train --help'"),
        ("train v --see 3", "no option '--see'; did you mean '--seeds'?"),
        ("train v --se 3", "no option '--se'; did you mean '--seeds'?"),
        ("train v --hold_outt 3", "no option '--hold-outt'; did you mean '--hold-out'?"),
        ("train v -x", "no option '-x'; see 'wsvad train --help'"),
        ("train v w", "'w': one word too many"),
        ("train v --seeds", "--seeds: a value is missing (N)"),
        ("train v --seeds --points 3", "--seeds: a value is missing (N)"),
        ("train", "FOLDER is missing; example: wsvad train videos"),
        ("score a.mp4", "--model RUN is missing"),
        ("add-category r climbing", "VIDEO is missing"),
        ("evaluate x --json=3", "--json takes no value"),
        ("bench --data d --methods mil,,rtfm", "--methods 'mil,,rtfm': a name is empty"),
        ("bench --data d --methods ''", "--methods '': a name is empty"),
        ("bench --data d --methods 'mil, mil'", "--methods 'mil, mil': mil is listed twice"),
        ("extract v --out x --stream clip", "--stream clip: write NAME=ENCODER"),
        ("extract v --out x --rgb motion --stream rgb=flow", "--stream rgb=flow: rgb has an encoder already"),
        ("train v --config.hiden 3", "--config hiden: ur-dmu has no field 'hiden'; it has hidden, "),
        ("train v --config hiden=3", "--config hiden: ur-dmu has no field 'hiden'; it has hidden, "),
        ("train v --config.lr.x 3", "--config lr.x: ur-dmu has no field 'x'; it has no fields in it"),
        ("train v --config", "--config: a value is missing"),
        ("train v --config =3", "write FIELD=VALUE"),
        ("train v --config rtfm.lr=1", "--config rtfm.lr: no method here is 'rtfm'"),
        ("bench --data d --methods mil,ur-dmu --config mil.larning=1", "mil has no field 'larning'; it has margin, lr"),
        ("bench --data d --methods mil,ur-dmu --config mi.lr=1", "METHOD one of: mil, ur-dmu"),
        ("bench --data d --methods mil,ur-dmu --config mil.lr=0", "--config mil.lr 0: a number, above 0"),
        ("bench --data d --methods mil,magic", "no method is called 'magic'"),
        ("dance", "no verb 'dance'; VERB is one of: demo, check, train"),
        ("trian", "no verb 'trian'; did you mean 'train'? VERB is one of"),
        ("", "a VERB is missing; VERB is one of: demo, check, train"),
        ("train --help=foo", "no option '--help'"),
        ("train v --method mil --method rtfm", "--method is given twice (mil and rtfm); give it once"),
        ("train v --hold-out=0 --hold_out=0.5", "--hold-out is given twice (0 and 0.5); give it once"),
        ("score a.mp4 --model r --model s", "--model is given twice (r and s); give it once"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_named(line, says, capsys):
    assert says in one_line(capsys, line)


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        ("lr: [", 1, "--config settings.yaml: not YAML"),
        ("lr: " + "[" * 5000, 1, "--config settings.yaml: not YAML"),
        ("lr: &a [*a]", 1, "--config settings.yaml: not YAML"),
        ("- lr", 1, "not a mapping; write fields as"),
        ("", 1, "not a mapping; write fields as"),
        ("lerning: 1", 2, "settings.yaml: lerning: ur-dmu has no field 'lerning'; it has "),
        ("mil: {lr: 1}", 2, "settings.yaml: mil: no method here is 'mil'"),
        ("method: mil\nconfig: {lr: 1}\nprotocol: {}", 2, "settings.yaml: of a run of mil, not of ur-dmu"),
        ("ur-dmu: 3", 2, "settings.yaml: ur-dmu: 3 instead of the fields of a method"),
        ("local_norm: off", 2, "ur-dmu: local-norm off: column or row"),
        ("lr: high", 2, "ur-dmu: lr high: a number, above 0"),
        ("lr: 0", 2, "--config settings.yaml: ur-dmu: lr 0.0: a number, above 0"),
        (None, 1, "settings.yaml: there is no such file"),
    ],
)
def test_a_wrong_file_of_settings_is_named(text, status, says, capsys):
    if text is not None:
        Path("settings.yaml").write_text(text)
    assert says in one_line(capsys, "train nowhere --config settings.yaml", status)


HOSTILE = "gate[north] [bold]x[/] \x1b[2J\x07\u202e\nb"


@pytest.mark.parametrize(
    "words",
    [
        [HOSTILE],
        ["train", "v", f"--{HOSTILE}"],
        ["train", "v", f"-{HOSTILE}"],
        ["train", "v", "--seeds", HOSTILE],
        ["train", "v", "--budget", HOSTILE],
        ["train", "v", "--method", HOSTILE],
        ["train", "v", "--device", HOSTILE],
        ["train", "v", "--config", f"lr={HOSTILE}"],
        ["train", "v", "--config", f"{HOSTILE}=1"],
        ["train", "v", "--stream", HOSTILE],
        ["train", "v", HOSTILE],
        ["bench", "--data", "v", "--methods", f"mil,{HOSTILE}"],
        ["score", HOSTILE, "--model", HOSTILE],
    ],
)
def test_what_is_typed_is_printed_as_it_is_and_harmless(words, capsys):
    assert main(words) in (1, 2)
    (said,) = capsys.readouterr().err.splitlines()
    assert said.isprintable() and "[bold]x[/]" in said


# ------------------------------------------------------------------------------------------------ the same in Python


@pytest.mark.parametrize(
    "fields",
    [
        {"seeds": 0}, {"seeds": 2.0}, {"seeds": True}, {"seeds": "3"}, {"first_seed": -1}, {"iterations": 0},
        {"segments": 0}, {"bags": 0}, {"points": 0}, {"hold_out": 1.0}, {"hold_out": float("nan")}, {"device": "gpu"},
    ],
)  # fmt: skip
def test_a_protocol_is_checked_where_it_is_made(fields):
    ((name, value),) = fields.items()
    with pytest.raises(UsageError, match=f"^{name} {value}: "):
        Protocol(**fields)


def test_auto_is_the_device_that_there_is():
    assert Protocol(device="auto").device in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["dakd", "linear", "mil", "pi-vad", "refinevad", "rtfm", "ur-dmu"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_configuration_is_checked_where_it_is_made(name, value):
    config_class = METHODS[name].config_class
    field = "tau" if name == "pi-vad" else "lr"
    with pytest.raises(UsageError, match=f"^{field} {value}: a number, above 0$"):
        config_class(**{field: value})


@pytest.mark.parametrize("line", ["evaluate {}", "score {} --model r", "score a.mp4 --model {}", "train {} --out r"])
def test_a_name_that_is_too_long_for_the_system_is_one_line(line, capsys):
    said = one_line(capsys, line.format("x" * 3000), status=1)
    assert "internal error" not in said and said.startswith("wsvad: ")
