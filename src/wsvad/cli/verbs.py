"""The verbs of the command line, by audience: the one list of them."""

from wsvad.cli.comparisons import ablate, bench, transfer
from wsvad.cli.exchange import convert, import_checkpoint, labels
from wsvad.cli.lists import datasets, encoders, methods, toy
from wsvad.cli.live import calibrate, capacity, status, watch
from wsvad.cli.parser import Verb
from wsvad.cli.practitioner import add_category, audit, check, demo, distill, score, train
from wsvad.cli.researcher import caption, compare_features, doctor, evaluate, extract, fit
from wsvad.cli.thresholds import threshold

PRACTITIONER = {
    "demo": Verb(function=demo, example="wsvad demo"),
    "check": Verb(function=check, positional="folder", flags=("json",), example="wsvad check videos"),
    "train": Verb(
        function=train, positional="folder", flags=("all",), learns="data", encodes=True, configures="method",
        chooses=True, example="wsvad train videos --rgb motion --method auto --out runs/gate",
    ),
    "audit": Verb(
        function=audit, positional="run", flags=("json",), example="wsvad audit runs/gate --out relabel.csv",
    ),
    "score": Verb(
        function=score, positional="videos", many=True, flags=("overlay", "clips", "json"),
        example="wsvad score gate-monday.mp4 --model runs/gate --overlay",
    ),
    "threshold": Verb(
        function=threshold, positional="run", flags=("reset", "json"),
        example="wsvad threshold runs/gate --max-false-alarms-per-day 1",
    ),
    "watch": Verb(
        function=watch, positional="what", many=True, flags=("check", "json"),
        example="wsvad watch runs/gate 'rtsp://viewer:${GATE_PASSWORD}@10.0.0.5/stream1'",
    ),
    "status": Verb(function=status, positional="folder", flags=("json",), example="wsvad status watch"),
    "calibrate": Verb(
        function=calibrate, positional="what", many=True, flags=("json",),
        example="wsvad calibrate runs/gate quiet-week/ --camera gate --max-false-alarms-per-day 1",
    ),
    "capacity": Verb(
        function=capacity, positional="run camera", many=True, flags=("json",),
        example="wsvad capacity runs/gate 1280x720@25 gate-monday.mp4",
    ),
    "distill": Verb(
        function=distill, positional="run", flags=("all",), learns="data", encodes=True, configures="=dakd",
        example="wsvad distill runs/gate --to motion --out runs/gate-light",
    ),
    "add-category": Verb(
        function=add_category, positional="run name videos", many=True,
        example="wsvad add-category runs/gate climbing fence-1.mp4 fence-2.mp4 --out runs/gate-2",
    ),
    "labels": Verb(
        function=labels, positional="recordings",
        example="wsvad labels recordings --frigate http://10.0.0.2:5000 --abnormal fight --out labels.csv",
    ),
}  # fmt: skip
RESEARCHER = {
    "extract": Verb(
        function=extract, positional="folder", flags=("gate", "plan", "json"), encodes=True,
        example="wsvad extract videos --rgb motion --flow flow --out features",
    ),
    "caption": Verb(
        function=caption, positional="videos", many=True,
        example="wsvad caption videos --model hf:models/llava --frames 4 --out captions.jsonl",
    ),
    "doctor": Verb(
        function=doctor, positional="features", flags=("json",),
        example="wsvad doctor data/i3d --data ucf-crime:data/ucf --repair data/i3d-fixed",
    ),
    "compare-features": Verb(
        function=compare_features, positional="sets", many=True, flags=("json",),
        example="wsvad compare-features data/i3d data/ours",
    ),
    "fit": Verb(
        function=fit, positional="folder", learns="paper", configures="method",
        example="wsvad fit ucf-crime:data/ucf --features data/i3d --method ur-dmu --seeds 5",
    ),
    "evaluate": Verb(function=evaluate, positional="what", flags=("json",), example="wsvad evaluate scores.npz --json"),
    "bench": Verb(
        function=bench, flags=("json",), learns="data", encodes=True, configures="methods",
        example="wsvad bench --data toy --methods linear,ur-dmu --seeds 5 --config ur-dmu.lr=1e-4",
    ),
    "ablate": Verb(
        function=ablate, positional="method", learns="data", hold_out=0.0, encodes=True, configures="method",
        example="wsvad ablate pi-vad --table 3 --data toy --seeds 5 --config.profile light",
    ),
    "transfer": Verb(
        function=transfer, positional="run", learns="data", hold_out=0.0,
        example="wsvad transfer runs/street --to square --seeds 3 --out runs/street-to-square",
    ),
    "import": Verb(
        function=import_checkpoint, positional="checkpoint", configures="method",
        example="wsvad import ucf_trans_2022.pkl --method ur-dmu --out runs/official",
    ),
    "convert": Verb(
        function=convert, positional="what", example="wsvad convert annotations.xml --out intervals.csv",
    ),
}  # fmt: skip
LISTS = {
    "methods": Verb(function=methods, example="wsvad methods"),
    "encoders": Verb(
        function=encoders,
        flags=("yes", "json"),
        optional=("recipes",),
        example="wsvad encoders --get facebook/dinov2-base",
    ),
    "datasets": Verb(function=datasets, example="wsvad datasets"),
    "toy": Verb(function=toy, positional="out", example="wsvad toy camera --videos 48 --seed 0"),
}
BY_AUDIENCE = {"for your own videos": PRACTITIONER, "for research": RESEARCHER, "what there is to use": LISTS}
VERBS = PRACTITIONER | RESEARCHER | LISTS
