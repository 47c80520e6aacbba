"""The target as a dimension of the search: contracts or transforms, compared by one measure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emufort.cli import app
from emufort.config import Config, RetrainConfig, SpaceConfig
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.dataset.targets import Targets, inputs_of_other_contracts, target_contract
from emufort.errors import ContractError, DataError, EmufortError, StorageError, UsageError
from emufort.export import Bundle
from emufort.export.model_card import TestSkill
from emufort.files import read_csv, read_json
from emufort.network.emulator import Emulator
from emufort.retrain.driver import retrain
from emufort.retrain.rounds import Rounds
from emufort.search import rungs
from emufort.search.driver import search
from emufort.search.result import load_search
from emufort.search.rungs import RungUnit, run_rung
from emufort.search.samplers.registry import make_proposer
from emufort.search.space import at_point, dimensions, to_point
from emufort.skill import skill_of, skill_values
from emufort.training import TrainerState, TrainingTask
from emufort.workers.judge import Judge
from emufort.workers.shared_arrays import SharedArrays
from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data
from tests.export.emulators import random_emulator
from tests.search.pond import config, data

OWN = "evaporation_rate=ln"  # what the contract says already
PLAIN = "evaporation_rate=standardise, cooling=minmax"
CONTRACT = Contract.from_toml(SYNTHETIC_CONTRACT)

#: Predicts the rate relative to the wind speed, which the network does not see.
RELATIVE = SYNTHETIC_CONTRACT.replace('name = "evaporation"', 'name = "per_wind"').replace(
    'transform = "ln"\nlower_bound', 'transform = "ln"\nrelative_to = "wind_speed"\nlower_bound'
)


def targeted(**options):
    space = {"depth": [1, 2], "width": [4, 8, 16], "batch_size": [16, 32], "target": [OWN, PLAIN]}
    return config(space=space, **options)


def told(trials):
    return [replace(t, seconds=0.0) for t in trials]


# ------------------------------------------------------------------- contracts


def test_a_target_is_a_contract_or_other_transforms():
    plain = target_contract(PLAIN, CONTRACT)
    assert [o.transform for o in plain.output] == ["standardise", "minmax"]
    assert plain.name == CONTRACT.name
    assert target_contract(OWN, CONTRACT).sha256 == CONTRACT.sha256
    activation = Contract.load("activation")
    assert target_contract("activation_ratio", activation).name == "activation_ratio"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evaporation_rat=ln", "not an output.*did you mean 'evaporation_rate'"),
        ("evaporation_rate=cube", "evaporation_rate=cube"),
        ("activation", "judged by number_activated_fraction.*cannot be compared"),
        ("no_such_contract", "no contract 'no_such_contract'"),
    ],
)
def test_impossible_targets(name, message):
    with pytest.raises(ContractError, match=message):
        target_contract(name, CONTRACT)


def test_targets_in_a_configuration(tmp_path):
    (tmp_path / "other.toml").write_text(RELATIVE)
    (tmp_path / "run.toml").write_text(
        f'[search.space]\ntarget = ["other.toml", "{OWN}", "activation"]\n'
    )
    target = Config.load(tmp_path / "run.toml").search.space.target
    assert target == (str(tmp_path / "other.toml"), OWN, "activation")
    for bad in (["a", "a"], [" "]):
        with pytest.raises(UsageError, match="each once"):
            Config.from_dict({"search": {"space": {"target": bad}}})


def test_data_under_another_contract():
    whole = data()
    other = whole.under(target_contract(PLAIN, CONTRACT))
    assert other.x is whole.x
    assert other.contract.output[1].transform == "minmax"
    assert whole.under(CONTRACT) is whole
    with pytest.raises(DataError, match=r"cooling is -?[0-9.e-]* K in row .*no logit"):
        whole.under(target_contract("cooling=logit", CONTRACT))
    with pytest.raises(DataError, match="have no file"):
        whole.under(Contract.load("activation"))


def test_rows_of_targets_are_the_same(tmp_path):
    raw = synthetic_data(400)
    raw["good"] = ("sample", (np.arange(400) % 3 > 0).astype("i1"), {
        "flag_values": [0, 1], "flag_meanings": "no yes",
    })  # fmt: skip
    raw.to_netcdf(tmp_path / "data.nc")
    filtered = SYNTHETIC_CONTRACT + '[filter]\nvariable = "good"\nkeep = ["yes"]\n'
    (tmp_path / "filtered.toml").write_text(filtered)
    whole = Dataset.open(tmp_path / "data.nc", CONTRACT)
    with pytest.raises(DataError, match="uses other rows"):
        Targets.of(whole, [str(tmp_path / "filtered.toml")])
    targets = Targets.of(whole.take(np.random.default_rng(0).permutation(400)), [OWN, PLAIN])
    wanted = targets.judge.rows[[7, 3, 200]]
    taken = targets.at(wanted)
    assert np.array_equal(taken.judge.rows, wanted)
    assert np.array_equal(taken.data[PLAIN].rows, wanted)


# ----------------------------------------------------------------------- space


@pytest.mark.parametrize("sampler", ["random", "qmc", "parzen", "tpe", "nsga2"])
def test_a_space_with_targets(sampler):
    space = SpaceConfig(depth=(1, 2), width=(8, 16), target=(OWN, PLAIN))
    assert [d.name for d in dimensions(space)][-1] == "target"
    found = make_proposer(sampler, space, 1).propose(24, 0)
    assert {c.target for c in found} == {OWN, PLAIN}
    for candidate in found:
        point = to_point(space, candidate)
        assert at_point(space, np.where(np.isnan(point), 0.5, point).tolist()) == candidate


def test_a_space_without_targets_is_as_it_was():
    with_one = SpaceConfig(target=(PLAIN,))
    assert dimensions(with_one) == dimensions(SpaceConfig())
    plain = make_proposer("parzen", SpaceConfig(), 1).propose(8, 0)
    one = make_proposer("parzen", with_one, 1).propose(8, 0)
    assert [replace(c, target="") for c in one] == plain
    assert {c.target for c in one} == {PLAIN}


# ---------------------------------------------------------------------- search


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("targets")
    result = search(data(), targeted(), folder / "search")
    rows = retrain(folder / "search", data(), targeted(), folder / "retrain")
    return folder, result, rows


def test_values_are_errors_in_physical_units(found):
    folder, result, _ = found
    options = targeted()
    assert {t.target for t in result.trials} == {OWN, PLAIN}
    assert result.summary["value"].startswith("RMSE of evaporation_rate, cooling")
    assert sum(entry["trials"] for entry in result.summary["targets"].values()) == 18

    whole = data()
    kept = read_json(folder / "search" / "subset.json")
    validation = whole.part("validation").subset(40, options.seed)
    checked = set()
    for trial in result.trials[:6]:
        contract = target_contract(trial.target, CONTRACT)
        under = whole.under(contract)
        train = under.take(np.searchsorted(whole.rows, kept["rows"]))
        stored, x_scaler, y_scaler = SharedArrays.from_datasets(
            train, under.take(np.searchsorted(whole.rows, validation.rows)), folder / "again"
        )
        task = TrainingTask(
            trial.architecture, trial.learning_rate, trial.batch_size, (1 << 20) + trial.number
        )
        trainers = stored.trainers(result.summary["backend"])
        state = TrainerState.initial(task)
        for epochs, value in trial.rungs:
            state = run_rung(trainers, RungUnit(state, epochs, options.search.patience))
            judge = Judge.of(under.take(np.searchsorted(whole.rows, validation.rows)),
                             (x_scaler, y_scaler), validation)  # fmt: skip
            # By the definition: what the network predicts in physical units, against the labels.
            from emufort.training import Layout

            emulator = Emulator(
                contract, trial.architecture, x_scaler, y_scaler,
                Layout(trial.architecture).parameters(state.best_weights),
            )  # fmt: skip
            rmse = skill_of(validation, emulator.predict(validation.x)).overall.rmse
            assert judge.error(state) == rmse == value
        checked.add(trial.target)
    assert checked == {OWN, PLAIN}
    # Halving went by them.
    batch = [t for t in result.trials if t.batch == 0]
    best = sorted(batch, key=lambda t: (t.rungs[0][1], t.number))[:3]
    assert {t.number for t in batch if t.pruned_at != 1} == {t.number for t in best}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A limit on the size of files stands in for the full disk: writing fails in the same way."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("size", "name"), [(600, "x_validation.npy"), (1200, "judge_x.npy"), (1600, "judge.json")]
)
def test_a_full_disk_is_one_line_and_leaves_no_arrays(tmp_path, size, name):
    targets = Targets.of(data(), [OWN, PLAIN])
    train, validation = targets.part("train"), targets.part("validation")
    # Few rows to train on, so that the judge's file of the inputs is the longest.
    parts = train.at(train.judge.rows[:20]), validation
    assert len(validation.judge) == 60
    with files_up_to(size), pytest.raises(StorageError, match=f"cannot write .*{name}: "):
        SharedArrays.from_targets(*parts, tmp_path, judged=True)
    assert list(tmp_path.iterdir()) == []
    stored, _ = SharedArrays.from_targets(*parts, tmp_path, judged=True)
    assert [folder.name for folder in tmp_path.iterdir()] == [stored.folder.name]


def test_a_diverged_training_is_judged_infinite(tmp_path):
    whole = data()
    targets = Targets.of(whole, [PLAIN])
    parts = targets.part("train"), targets.part("validation")
    stored, scalers = SharedArrays.from_targets(*parts, tmp_path, judged=True)
    judge = stored.trainers().judges[PLAIN]
    task = TrainingTask(at_point(SpaceConfig(), [0.5] * 7).architecture(3, 2), 1e-3, 16, 0)
    state = TrainerState.initial(task)
    assert math.isfinite(judge.error(state))
    assert judge.y_scaler.to_dict() == scalers[PLAIN][1].to_dict()
    state.best_weights[:] = np.inf
    assert judge.error(state) == math.inf
    state.stopped = "diverged"
    assert replace(state, judged=1.0).value == math.inf


def test_workers_and_kills_change_nothing(found, tmp_path, monkeypatch):
    _, whole, _ = found
    two = search(data(), targeted(workers=2), tmp_path / "two")
    assert told(two.trials) == told(whole.trials)

    # Killed within the third batch, with what was under way on disk.
    done = []

    def mortal(trainers, unit):
        if len(done) == 20:
            raise KeyboardInterrupt
        done.append(unit)
        return run_rung(trainers, unit)

    monkeypatch.setattr("emufort.search.unfinished.WORTH_KEEPING_SECONDS", 0.0)
    monkeypatch.setattr(rungs, "run_rung", mortal)
    with pytest.raises(KeyboardInterrupt):
        search(data(), targeted(), tmp_path / "killed")
    monkeypatch.setattr(rungs, "run_rung", run_rung)
    resumed = search(data(), targeted(), tmp_path / "killed")
    assert told(resumed.trials) == told(whole.trials)
    assert told(load_search(tmp_path / "killed").trials) == told(whole.trials)


def test_a_folder_is_not_continued_with_other_targets(found):
    folder, _, _ = found
    for others in ([OWN], []):
        options = targeted()
        space = options.search.space.model_copy(update={"target": tuple(others)})
        options = options.model_copy(
            update={"search": options.search.model_copy(update={"space": space})}
        )
        with pytest.raises(EmufortError, match=r"search\.space\.target"):
            search(data(), options, folder / "search")


def test_step_2_keeps_contract_and_measure(found):
    folder, result, rows = found
    trials = {t.number: t for t in result.trials}
    validation = data().part("validation")
    assert [r["target"] for r in read_csv(folder / "retrain" / "candidates.csv")] == [
        row.target for row in rows
    ]
    for row in rows:
        emulator = Emulator.load(folder / "retrain" / row.id / "weights.safetensors")
        assert row.target == trials[row.trial].target
        assert emulator.contract.sha256 == target_contract(row.target, CONTRACT).sha256
        assert row.rmse == skill_of(validation, emulator.predict(validation.x)).overall.rmse
        assert row.label.endswith(row.target)
        assert row.search_loss == trials[row.trial].value
    agreement = json.loads((folder / "retrain" / "agreement.json").read_text())
    assert agreement["compares"] == "RMSE of evaporation_rate, cooling"
    for pair in agreement["pairs"]:
        errors = [row.rmse for row in rows if row.trial == pair["trial"]]
        assert pair["validation_loss"] == pytest.approx(np.mean(errors))


def test_the_same_network_for_two_targets_is_two_candidates(found):
    _, result, _ = found
    one = result.top(1)[0]
    other = replace(one, number=99, target=PLAIN if one.target == OWN else OWN)
    assert len(Rounds([one, other], RetrainConfig(), 1).distinct) == 2
    assert len(Rounds([one, replace(other, target=one.target)], RetrainConfig(), 1).distinct) == 1


def test_inputs_of_networks_of_other_contracts(found, tmp_path):
    folder, _, rows = found
    synthetic_data(600).to_netcdf(tmp_path / "data.nc")
    whole = Dataset.open(tmp_path / "data.nc", CONTRACT)
    weights = {r.id: folder / "retrain" / r.id / "weights.safetensors" for r in rows}
    wanted = whole.rows[[5, 1]]
    made = inputs_of_other_contracts(whole, wanted, weights)
    assert set(made) == {row.id for row in rows if row.target == PLAIN}
    for x in made.values():
        assert np.array_equal(x, whole.x[[5, 1]])


# ------------------------------------------------------------------- whole run


@pytest.mark.slow
def test_the_bundle_of_a_run_has_the_contract_of_the_target(tmp_path):
    """Of two targets one is hopeless: with which the run goes on is known."""
    (tmp_path / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    (tmp_path / "per_wind.toml").write_text(RELATIVE)
    synthetic_data().to_netcdf(tmp_path / "evaporation.nc")
    (tmp_path / "run.toml").write_text(
        SYNTHETIC_CONFIG.replace(
            "[search.space]\n",
            '[search.space]\ntarget = ["per_wind.toml", "evaporation_rate=none"]\n',
        ).replace("trials = 8", "trials = 16")
    )
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["run", str(tmp_path / "run.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    bundle = Bundle.open(out / "bundle")
    wanted = Contract.load(tmp_path / "per_wind.toml")
    assert bundle.manifest.contract.sha256 == wanted.sha256
    assert read_json(out / "verification.json")["passed"]
    assert "per_wind" in (out / "report.html").read_text()
    # A target's contract that changes makes it another run.
    changed = RELATIVE.replace("range = [0.1, 30.0]", "range = [0.1, 31.0]")
    (tmp_path / "per_wind.toml").write_text(changed)
    again = CliRunner().invoke(app, ["run", str(tmp_path / "run.toml"), "--out", str(out)])
    assert again.exit_code != 0
    assert "contract of" in str(again.exception)
    assert Path(out / "bundle").exists()


def test_labels_in_another_order_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = Contract.load("activation_fractions")
    labels = contract.dimensions["mode"]
    swapped = {"mode": (labels[1], labels[0], *labels[2:])}
    other = contract.model_copy(update={"dimensions": swapped})
    monkeypatch.setattr(Contract, "load", lambda name: other)
    with pytest.raises(ContractError, match="columns cannot be compared"):
        target_contract("swapped", contract)


def test_the_choice_is_judged_by_the_contract_of_the_run() -> None:
    # Fractions as outputs would count in standard deviations, those that the run's head makes not.
    run = Dataset.open(None, Contract.load("activation"))
    run = run.take(np.concatenate([np.flatnonzero(run.split == k)[:60] for k in range(3)]))
    run = replace(run, parent=None)
    content = Contract.load("activation_fractions")
    data = Dataset.open(None, content)
    data = replace(data.take(np.searchsorted(data.rows, run.rows)), parent=None)
    emulator = random_emulator(content, (4,))
    found = TestSkill.of(emulator, data, run)
    assert found is not None
    assert not found.normalised
    x = run.part("test")
    fractions = skill_values(run.contract, x.x, x.y)["number_activated_fraction"]
    error = emulator.predict(data.part("test").x) - fractions
    assert found.emulator.overall.rmse == pytest.approx(np.sqrt(np.square(error).mean()))
    assert set(found.baselines) == {"ARG2000", "MBN2014", "Ghosh2025"}
    alone = TestSkill.of(emulator, data)
    assert alone is not None
    assert alone.normalised
    assert alone.emulator.overall.rmse > 1.5 * found.emulator.overall.rmse
