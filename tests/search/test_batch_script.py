"""The batch script quotes paths and options correctly, whatever characters they hold."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from emufort.cli import execute
from emufort.cli.running import configured
from emufort.config import ClusterConfig, Config
from emufort.errors import UsageError
from emufort.workers.cluster_script import job_script
from emufort.workers.dask_cluster import started_scheduler
from tests.core.test_escape import read_sbatch_option

ADDRESS = "tcp://node:8786"
HOSTILE = ("s 9", "a; touch sentinel", "$(touch sentinel)", "`touch sentinel`", 'a"b', "it's", "#x")

#: Stands for the interpreter on a node: writes down its name and arguments.
PYTHON = f"""#!{sys.executable}
import json, sys
with open({{said!r}}, "w") as file:
    json.dump(sys.argv, file)
"""


def cluster(kind: str, **options: object) -> ClusterConfig:
    return Config.from_dict({"cluster": {"kind": kind, **options}}).cluster


def slurm(**options: object) -> ClusterConfig:
    return cluster("slurm", **options)


def sbatch_options(script: str) -> dict[str, str]:
    """Return the options as sbatch reads them: up to the first command."""
    found = {}
    for line in script.split("\n"):
        if line and not line.startswith("#"):
            break
        if line.startswith("#SBATCH "):
            words = read_sbatch_option(line)
            if len(words) == 1:
                words = words[0].split("=", 1)
            name, value = words
            found[name] = value
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_the_script_starts_the_interpreter_with_its_arguments(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name.replace("/", "")
    folder.mkdir()
    python = folder / "python"
    said = tmp_path / "said"
    python.write_text(PYTHON.format(said=str(said)))
    python.chmod(stat.S_IRWXU)
    link = tmp_path / f"py {name}".replace("$", "")
    link.symlink_to(python)
    script = job_script(slurm(python=str(link)), ADDRESS, tmp_path / name)
    (tmp_path / "worker.sbatch").write_text(script)
    done = subprocess.run(
        ["bash", "worker.sbatch"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    arguments = json.loads(said.read_text())
    assert arguments[0] == str(link)
    assert arguments[1:6] == ["-P", "-m", "dask", "worker", ADDRESS]
    assert not list(tmp_path.rglob("sentinel"))


@pytest.mark.parametrize("name", [*HOSTILE, "50%", "%j"])
def test_sbatch_reads_every_option_as_it_was_given(name: str, tmp_path: Path) -> None:
    where = slurm(partition=name, account=f"x {name}", time="01:00:00", memory="8G")
    found = sbatch_options(job_script(where, ADDRESS, tmp_path / name))
    assert found["-p"] == name
    assert found["-A"] == f"x {name}"
    assert found["--mem"] == "8G"
    log = str(tmp_path / name / "cluster").replace("%", "%%")
    assert found["--output"] == f"{log}/%j.log"
    assert found["--cpus-per-task"] == "1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "a\n#SBATCH --uid=0") for name in ("partition", "account", "memory", "time")),
        *((name, "a\nb") for name in ("python", "host", "scheduler")),
        *((name, "") for name in ("partition", "python", "host")),
        ("host", "node; touch x"),
        ("host", "a b"),
        ("python", "~/env/bin/python"),
        ("python", "$HOME/env/bin/python"),
        ("options", ["--exclusive\ntouch sentinel"]),
        ("options", ["touch sentinel"]),
    ],
)
def test_what_no_batch_script_can_say_is_one_clear_line(name: str, value: object) -> None:
    kind = {} if name == "scheduler" else {"kind": "slurm"}
    with pytest.raises(UsageError, match=rf"cluster\.{name}") as caught:
        Config.from_dict({"cluster": {**kind, name: value}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\n#SBATCH --uid=0\ntouch x", "a\rb", "a\\b"])
def test_a_folder_that_no_batch_script_can_name_is_one_clear_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        job_script(slurm(), ADDRESS, tmp_path / name)
    assert "\n" not in str(caught.value)
    out = str(tmp_path / name)
    assert execute(["search", "--out", out, "--cluster", "slurm", "--dry-run"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1


def test_the_command_shows_a_script_for_a_folder_with_a_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        execute(["search", "--out", str(tmp_path / "s 9"), "--cluster", "slurm", "--dry-run"]) == 0
    )
    options = sbatch_options(capsys.readouterr().out)
    assert options["--output"] == f"{tmp_path / 's 9'}/search/cluster/%j.log"


@pytest.mark.parametrize(
    ("kind", "mark", "expected"),
    [
        (
            "pbs",
            "#PBS ",
            {"-N emufort", "-q short", "-A climate", "-l select=1:ncpus=8:mem=524288kb",
             "-l walltime=26:30:01", "-o LOG/", "-j oe", "-S /bin/bash", "-x"},
        ),
        (
            "lsf",
            "#BSUB ",
            {"-J emufort", "-q short", '-P "climate"', "-n 8", '-R "span[hosts=1]"', "-M 536871",
             "-W 26:31", "-o LOG/%J.log", "-x"},
        ),
    ],
)  # fmt: skip
def test_options_of_other_batch_systems(
    kind: str, mark: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))  # no file of this machine says the units
    text = job_script(
        cluster(
            kind, workers_per_job=8, partition="short", account="climate", memory="512M",
            time="26:30:01", options=["-x"], setup=["module load python"],
        ), ADDRESS, tmp_path,
    )  # fmt: skip
    assert text.startswith("#!/bin/bash\n")
    options = {line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)}
    log = str(tmp_path / "cluster")
    assert options == {option.replace("LOG", log) for option in expected}
    assert "\nexport OMP_NUM_THREADS=1\nmodule load python\nexec " in text


def test_options_of_sge(tmp_path: Path) -> None:
    where = cluster(
        "sge", workers_per_job=8, account="climate", resources="h_vmem=1G", options=["-pe smp 8"]
    )
    lines = set(job_script(where, ADDRESS, tmp_path).splitlines())
    assert {"#$ -P climate", "#$ -l h_vmem=1G", "#$ -l h_rt=01:00:00", "#$ -pe smp 8",
            f"#$ -o {tmp_path}/cluster/$JOB_ID.log", "#$ -j y"} < lines  # fmt: skip


def test_resources_of_pbs_replace_those_of_the_workers(tmp_path: Path) -> None:
    where = cluster("pbs", workers_per_job=2, memory="8G", resources="select=1:ncpus=2:ngpus=2")
    lines = job_script(where, ADDRESS, tmp_path).splitlines()
    found = [line for line in lines if "select" in line]
    assert found == ["#PBS -l select=1:ncpus=2:ngpus=2"]


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("pbs", {"time": "2-00:00:00"}, "time is '2-00:00:00'; for pbs write it as HH:MM:SS"),
        ("lsf", {"memory": "8 gigabytes"}, "memory is '8 gigabytes'; for lsf write it as 8G"),
        ("sge", {"memory": "8G"}, "h_vmem"),
        ("sge", {"workers_per_job": 2}, "-pe NAME 2"),
        ("slurm", {"resources": "gpu=1"}, "resources are for pbs and sge"),
        ("lsf", {"resources": "gpu=1"}, "resources are for pbs and sge"),
    ],
)
def test_what_a_batch_system_does_not_understand(
    kind: str, options: dict[str, object], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        cluster(kind, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["pbs", "lsf", "sge"])
@pytest.mark.parametrize("value", [*HOSTILE, "a b", "$HOME", "%J", "a\\", "^x^", "ä;"])
def test_other_batch_systems_get_no_character_with_a_meaning(
    kind: str, value: str, tmp_path: Path
) -> None:
    keys = ["partition", "account"] + ["resources"] * (kind != "lsf")
    for key in keys:
        with pytest.raises(UsageError, match="use letters, digits and") as caught:
            job_script(cluster(kind, **{key: value}), ADDRESS, tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"its log|the option --out "):
        job_script(cluster(kind), ADDRESS, tmp_path / value)


def documented() -> list[tuple[str, str]]:
    text = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    kinds = [re.match(r"# (?:for )?(\w+)", block)[1].lower() for block in blocks]  # type: ignore
    return list(zip(kinds, blocks, strict=True))


@pytest.mark.parametrize(("kind", "block"), documented())
def test_documented_profiles_are_valid(kind: str, block: str, tmp_path: Path) -> None:
    script = job_script(cluster(kind, **tomllib.loads(block)), ADDRESS, tmp_path)
    assert script.count("-m dask worker") == 1


def test_all_batch_systems_are_documented() -> None:
    assert {kind for kind, _ in documented()} == {"slurm", "pbs", "lsf", "sge"}
    assert len(documented()) == 8


def test_a_run_folder_does_not_say_where_to_compute(tmp_path: Path) -> None:
    """The lines of ``setup`` are commands: they come from the user alone."""
    (tmp_path / "config.toml").write_text(
        '[cluster]\nkind = "slurm"\nsetup = ["touch sentinel"]\n[retrain]\ntop = 7\n'
    )
    config = configured(None, tmp_path, {"cluster.workers_per_job": 2})
    assert config.cluster == ClusterConfig(workers_per_job=2)
    assert config.retrain.top == 7
    given = configured(tmp_path / "config.toml", tmp_path, {})
    assert given.cluster.setup == ("touch sentinel",)


def test_a_host_without_an_address_is_one_clear_line() -> None:
    with (
        pytest.raises(UsageError, match=r"no-such-host\.invalid.*cluster\.host"),
        started_scheduler(slurm(host="no-such-host.invalid")),
    ):
        pass
