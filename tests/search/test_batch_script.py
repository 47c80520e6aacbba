"""The batch script quotes paths and options correctly, whatever characters they hold."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
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


def slurm(**options: object) -> ClusterConfig:
    content = Config.from_dict({"cluster": {"kind": "slurm", **options}})
    return content.cluster


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
