"""The files in examples/cluster are what their programs read, and the commands in them are right."""

import re
import shlex
import subprocess

import pytest
import yaml
from places import ROOT

from wsvad.cli.parser import arguments_of
from wsvad.cli.verbs import VERBS
from wsvad.extraction.engines import engine_of

CLUSTER = ROOT / "examples" / "cluster"
FILES = sorted(CLUSTER.iterdir())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_commands_are_right(path):
    text = path.read_text(encoding="utf-8")
    found = [f"wsvad {line}" for line in re.findall(r"\bwsvad (extract .*)$", text, re.MULTILINE)]
    assert found
    for command in found:
        verb, *words = shlex.split(command)[1:]
        given = arguments_of(VERBS[verb], words)
        engine = given["engine"].replace("$address", "10.0.0.1:6379")
        assert engine_of(engine, workers=given["workers"], cpus=given["cpus_per_worker"]).shared


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_it_is_yaml_that_starts_a_head_and_workers(path):
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "services" in read:
        assert set(read["services"]) == {"head", "worker"}
        assert all(service["volumes"] == ["./data:/data"] for service in read["services"].values())
        assert "ports" not in str(read)  # nothing is reached from outside
        starts = [shlex.split(service["command"]) for service in read["services"].values()]
        assert [words[:2] for words in starts] == [["ray", "start"]] * 2
    else:
        assert read["kind"] == "RayCluster"
        (workers,) = read["spec"]["workerGroupSpecs"]
        pods = [group["template"]["spec"] for group in (read["spec"]["headGroupSpec"], workers)]
        assert pods[0]["volumes"] == pods[1]["volumes"]
        mounts = [pod["containers"][0]["volumeMounts"] for pod in pods]
        assert mounts[0] == mounts[1] and mounts[0][0]["name"] == pods[0]["volumes"][0]["name"]


def test_the_script_for_slurm_is_one():
    subprocess.run(["bash", "-n", CLUSTER / "slurm.sh"], check=True)
    text = (CLUSTER / "slurm.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n") and text.count("\n#SBATCH ") == 4
