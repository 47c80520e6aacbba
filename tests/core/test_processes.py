"""The registry: a contract names functions of installed packages and runs nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import ContractError, EmufortError
from emufort.export import export
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.processes import registry as processes
from emufort.runtime.loaded import load
from emufort.skill import skill_of, skill_values
from emufort.verification import verify
from tests.conftest import PACKAGE, SYNTHETIC_CONTRACT, install_process, synthetic_data
from tests.export.emulators import random_emulator

POND = """
name = "evaporation"
process = "pond"
[[input]]
name = "wind_speed"
units = "m s-1"
transform = "ln"
[[input]]
name = "relative_humidity"
transform = "logit"
range = [0.05, 0.95]
[[input]]
name = "water_temperature"
units = "K"
[[parameter]]
name = "depth"
units = "m"
values = [2.0]
[[output]]
name = "evaporation_rate"
units = "kg m-2 s-1"
transform = "ln"
[[output]]
name = "cooling"
units = "K"
[skill]
head = "heat_content"
variables = ["heat"]
"""

PROCESS = """
from pathlib import Path
from emufort.processes import Head, Process

def heat_content(inputs, outputs):
    return {"heat": outputs["cooling"] * inputs["depth"]}

PROCESS = Process(
    "pond",
    heads={"heat_content": Head(heat_content, ("depth",), ("cooling",), ("heat",))},
    contracts=Path(__file__).parent / "contracts",
)
"""

PATHS = (
    "subprocess:run",
    "os.system",
    "subprocess.run",
    "emufort.skill:skill_of",
    "a:b",
    "",
    "head name",
    "../head",
)


@pytest.fixture
def pond(tmp_path: Path) -> Path:
    """A folder for ``sys.path`` with a package that registers the process "pond".

    Beside it lies a package whose process must never be imported: its import writes a file.
    """
    site = install_process(tmp_path / "site", "pond", "pond_package.process:PROCESS")
    package = site / "pond_package"
    (package / "contracts").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "process.py").write_text(PROCESS)
    (package / "contracts" / "shallow.toml").write_text(POND)
    install_process(site, "other", "other_package:PROCESS", "other_package")
    (site / "other_package.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'sentinel')!r}).touch()\n"
        "raise RuntimeError('no such library')\n"
    )
    return site


@pytest.fixture
def registered(pond: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(pond))
    processes.process.cache_clear()


def emufort(*arguments: object, site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emufort.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), PACKAGE])},
    )


# ------------------------------------------------------------------------- what is registered


def test_the_process_of_the_package_is_registered_in_a_checkout_and_installed() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["entry-points"][processes.GROUP]
    assert declared == processes._OWN
    process = processes.process("aerosol_activation")
    assert set(process.contract_files()) == {
        "activation",
        "activation_fractions",
        "activation_ratio",
    }
    for name in process.contract_files():
        assert Contract.load(name) == Contract.load(f"aerosol_activation.{name}")


def test_another_package_registers_a_head(pond: Path, tmp_path: Path, registered: None) -> None:
    contract = Contract.load("pond.shallow")
    x = np.array([[3.0, 0.5, 290.0]])
    heat = skill_values(contract, x, np.array([[1e-5, -0.75]]))
    assert heat["heat"].tolist() == [[-1.5]]
    assert not (tmp_path / "sentinel").exists(), "no other package's code has run"
    with pytest.raises(ContractError, match=r"no contract 'shalow' \(did you mean 'shallow'"):
        Contract.load("pond.shalow")


def test_the_command_lists_processes_and_takes_their_contracts(pond: Path, tmp_path: Path) -> None:
    synthetic_data().to_netcdf(tmp_path / "pond.nc")
    arguments = ("check", "--contract", "pond.shallow", "--data", "pond.nc")
    checked = emufort(*arguments, site=pond, cwd=tmp_path)
    assert checked.returncode in (0, 1), checked.stderr  # 600 rows are fewer than the subset needs
    assert "head" not in checked.stderr
    assert not (tmp_path / "sentinel").exists()
    listed = emufort("processes", site=pond, cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "aerosol_activation (emufort " in listed.stdout
    assert "pond (pond_package 1.5)\n  heads: heat_content\n" in listed.stdout
    assert "  contracts: pond.shallow\n" in listed.stdout
    assert "other (other_package 1.5)\n  error: " in listed.stdout
    assert "RuntimeError: no such library" in listed.stdout
    assert (tmp_path / "sentinel").exists(), "the list is the one command that loads all"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"heat_content"', '"heat_contents"'), "did you mean 'heat_content'.*has heat_content"),
        (('process = "pond"', 'process = "ponds"'), "did you mean 'pond'.*registered are"),
        (('process = "pond"', ""), "'process' is missing.*'heat_content'"),
        (('process = "pond"', 'process = "os.path"'), "registers the process 'os.path'"),
        (('process = "pond"', 'process = "other"'), "other_package 1.5 cannot be imported"),
        (('name = "depth"', 'name = "width"'), "needs the input or parameter 'depth'.*lacks"),
        (('name = "cooling"', 'name = "chill"'), "needs 'cooling', which the outputs do not give"),
        (('["heat"]', '["heats"]'), r"'heats', .*did you mean 'heat'"),
    ],
)
def test_a_head_that_does_not_fit_is_one_clear_line(
    change: tuple[str, str], message: str, registered: None, tmp_path: Path
) -> None:
    assert change[0] in POND
    path = tmp_path / "pond.toml"
    path.write_text(POND.replace(*change))
    with pytest.raises(ContractError, match=message) as caught:
        Contract.load(path)
    assert "\n" not in str(caught.value)


def test_a_baseline_must_give_what_its_head_needs(registered: None, tmp_path: Path) -> None:
    path = tmp_path / "pond.toml"
    baseline = '[[baseline]]\nname = "BULK"\nvariable = "bulk"\ngives = "evaporation_rate"\n'
    path.write_text(POND + baseline)
    with pytest.raises(ContractError, match="needs 'cooling', which 'BULK' does not give"):
        Contract.load(path)
    path.write_text(POND + baseline.replace("evaporation_rate", "cooling"))
    Contract.load(path)
    path.write_text(POND + baseline.replace("evaporation_rate", "cooling") + 'timing_source = "x"')
    with pytest.raises(ContractError, match="no timing source 'x'; it has none"):
        Contract.load(path)


def test_a_process_without_functions_must_exist_and_is_not_imported(
    registered: None, tmp_path: Path
) -> None:
    path = tmp_path / "pond.toml"
    path.write_text(POND.partition("[skill]")[0].replace('"pond"', '"other"'))
    assert Contract.load(path).process == "other"
    assert not (tmp_path / "sentinel").exists()
    path.write_text(path.read_text().replace('"other"', '"others"'))
    with pytest.raises(ContractError, match="did you mean 'other'"):
        Contract.load(path)


def test_two_packages_with_one_name_are_refused(pond: Path, registered: None) -> None:
    install_process(pond, "pond", "evil:PROCESS", "evil_package")
    with pytest.raises(ContractError, match="both register a process 'pond'"):
        processes.process("pond")
    assert processes.process("aerosol_activation").heads, "a clash of others is no hindrance"
    processes.process.cache_clear()
    install_process(pond, "aerosol_activation", "evil:PROCESS", "sly_package")
    with pytest.raises(ContractError, match=r"emufort .* and sly_package 1\.5 both register"):
        processes.process("aerosol_activation")


def test_an_entry_point_that_is_no_process_is_named(pond: Path, registered: None) -> None:
    install_process(pond, "path", "os:path", "path_package")
    with pytest.raises(ContractError, match=r"path_package 1.5 .* is not an emufort.processes"):
        processes.process("path")


def test_a_head_that_fails_is_named(registered: None) -> None:
    contract = Contract.from_toml(POND.replace('name = "depth"', 'name = "width"'))
    with pytest.raises(EmufortError, match="'heat_content' of the process 'pond' failed: KeyError"):
        skill_values(contract, np.ones((1, 3)), np.ones((1, 2)))


# ------------------------------------------------------------------------- nothing is executed


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", ["skill", "baseline head", "timing source"])
def test_a_python_path_is_refused_when_the_contract_is_read(path: str, place: str) -> None:
    text = POND
    if place == "skill":
        text = text.replace('"heat_content"', json.dumps(path))
    else:
        key = "head" if place == "baseline head" else "timing_source"
        text += '[[baseline]]\nname = "B"\nvariable = "b"\ngives = "cooling"\n'
        text += f"{key} = {json.dumps(path)}\n"
    with pytest.raises(ContractError, match=f"entry point group {processes.GROUP}") as caught:
        Contract.from_toml(text)
    assert "\n" not in str(caught.value)


def test_the_former_spelling_names_the_new_one() -> None:
    former = POND.replace('"heat_content"', '"emufort.activation.head:activated_fractions"')
    with pytest.raises(ContractError, match="it is 'activated_fractions' of process"):
        Contract.from_toml(former)


def hostile(sentinel: Path) -> str:
    """A contract that ran a shell command when heads were Python paths."""
    return SYNTHETIC_CONTRACT.replace('"wind_speed"', '"shell"').replace(
        'name = "evaporation"\n', 'name = "evaporation"\nprocess = "subprocess"\n'
    ) + (
        f'[skill]\nhead = "subprocess:run"\nvariables = ["x"]\n'
        f'[[parameter]]\nname = "executable"\nvalues = [1.0]\n'
        f'[[baseline]]\nname = "touch {sentinel}"\nvariable = "cooling"\ngives = "args"\n'
        f'timing_source = "os:system"\n'
    )


@pytest.mark.parametrize("command", ["check", "run", "search", "data"])
def test_no_command_runs_what_a_contract_names(command: str, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    data = synthetic_data().rename(wind_speed="shell")
    data.to_netcdf(tmp_path / "pond.nc")
    for head in ("subprocess:run", "run"):
        (tmp_path / "c.toml").write_text(hostile(sentinel).replace("subprocess:run", head))
        given = ["--contract", "c.toml"] + (["pond.nc"] if command == "data" else [])
        done = emufort(command, *given, site=tmp_path, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert not sentinel.exists()


def test_names_of_inputs_are_no_arguments(
    registered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a contract calls its variables reaches a head as keys of two mappings."""
    seen: list[object] = []

    def head(*arguments: object, **named: object) -> dict[str, np.ndarray]:
        seen.extend([arguments, named])
        return {"heat": np.zeros(1)}

    process = processes.Process("pond", {"heat_content": processes.Head(head)})
    monkeypatch.setattr(processes, "process", {"pond": process}.__getitem__)
    text = POND.replace('"wind_speed"', '"shell"').replace('"cooling"', '"args"')
    skill_values(Contract.from_toml(text), np.ones((1, 3)), np.ones((1, 2)))
    (inputs, outputs), named = seen
    assert set(inputs) == {"shell", "relative_humidity", "water_temperature", "depth"}
    assert set(outputs) == {"evaporation_rate", "args"} and named == {}


def test_load_and_verify_of_a_bundle_run_nothing(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    data = Dataset.from_xarray(synthetic_data(), Contract.from_toml(SYNTHETIC_CONTRACT))
    bundle = export(random_emulator(data.contract, (8,), "tanh"), data, tmp_path / "bundle")
    content = json.loads((bundle.path / "manifest.json").read_text())
    bad = {**content["contract"], "process": "subprocess", "skill": {"head": "subprocess:run"}}
    bad["baseline"] = [{"name": "touch", "variable": "cooling", "gives": "args"}]
    canonical = json.dumps(bad, sort_keys=True, separators=(",", ":"))
    content["contract"] = bad
    content["contract_sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (bundle.path / "manifest.json").write_text(json.dumps(content))
    for use in (load, verify):
        with pytest.raises(EmufortError, match="not the name of a registered function"):
            use(bundle.path)
    file = WeightsFile.read(bundle.weights)
    object.__setattr__(file, "contract", json.dumps(bad))
    with pytest.raises(EmufortError, match=processes.GROUP):
        restore(file)
    assert not sentinel.exists()


def test_a_bundle_of_a_process_that_is_not_installed_can_be_used(tmp_path: Path) -> None:
    """Only what judges an emulator needs the head; prediction does not."""
    contract = Contract.from_toml(POND)
    data = Dataset.from_xarray(synthetic_data().drop_vars([]), contract)
    data = data.take(np.flatnonzero(data.split == 0))
    bundle = export(random_emulator(contract, (8,), "tanh"), data, tmp_path / "bundle")
    assert load(bundle.path, backend="onnxruntime").predict_array(data.x[:3]).shape == (3, 2)
    with pytest.raises(ContractError, match="no installed package registers the process 'pond'"):
        skill_of(data, data.y)
