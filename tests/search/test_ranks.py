"""The column of predicted ranks in the table of trials."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emufort.files import read_csv, read_json
from emufort.search.driver import search
from emufort.search.identity import study_sha256
from emufort.search.prediction import predicted_ranks
from emufort.search.result import load_search
from emufort.search.trials import RANK_COLUMN, TrialsFile, is_as_written, read_trials
from tests.search.candidates import random_trials
from tests.search.pond import config, data


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return search(data(), config(), tmp_path_factory.mktemp("finished"))


def ranks(folder) -> list[str]:
    return [row[RANK_COLUMN] for row in read_csv(folder / "trials.csv")]


def content(result) -> list:
    """Everything of a search but the time it took."""
    trials = [replace(trial, seconds=0.0) for trial in result.trials]
    return [*trials, ranks(result.folder), study_sha256(result.folder)]


def without_ranks(folder) -> None:
    """Make the table one of an earlier version."""
    path = folder / "trials.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")


def test_the_ranks_of_a_finished_search(finished):
    assert ranks(finished.folder) == [str(rank) for rank in predicted_ranks(finished.trials)]
    assert sorted(map(int, ranks(finished.folder))) == list(range(1, 19))
    header = (finished.folder / "trials.csv").read_text().splitlines()[0]
    assert header.endswith(f",rungs,{RANK_COLUMN}")


@pytest.mark.parametrize("moment", ["before the ranks", "after the ranks"])
def test_killed_after_the_last_batch_it_ends_as_undisturbed(
    moment, finished, tmp_path, monkeypatch
):
    original = TrialsFile.rank

    def deadly(self, *arguments):
        if moment == "after the ranks":
            original(self, *arguments)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(TrialsFile, "rank", deadly)
        with pytest.raises(KilledError):
            search(data(), config(), tmp_path)
    before = [row["seconds"] for row in read_csv(tmp_path / "trials.csv")]
    assert (
        set(ranks(tmp_path)) == {""} if moment == "before the ranks" else "" not in ranks(tmp_path)
    )
    assert not read_json(tmp_path / "search.json")["finished"]
    assert content(search(data(), config(), tmp_path)) == content(finished)
    # Nothing was trained again.
    assert [row["seconds"] for row in read_csv(tmp_path / "trials.csv")] == before


def test_a_search_made_longer_ranks_all_anew(finished, tmp_path):
    search(data(), config(trials=12), tmp_path)
    assert sorted(map(int, ranks(tmp_path))) == list(range(1, 13))
    assert content(search(data(), config(), tmp_path)) == content(finished)


def test_a_search_made_longer_and_killed_has_no_ranks_until_it_is_finished(
    finished, tmp_path, monkeypatch
):
    search(data(), config(trials=12), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(TrialsFile, "rank", lambda *arguments: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            search(data(), config(), tmp_path)
    assert set(ranks(tmp_path)) == {""}
    assert content(search(data(), config(), tmp_path)) == content(finished)


def test_the_hash_of_the_table_ignores_the_ranks(tmp_path):
    trials = random_trials(5)
    table = TrialsFile(tmp_path / "trials.csv")
    table.write(trials[:3])
    table.write(trials)
    before = table.sha256
    table.rank(trials, [2, 1, 5, 4, 3])
    assert table.sha256 == before
    assert is_as_written(tmp_path / "trials.csv", before)
    table.rank(trials, [1, 2, 3, 4, 5])
    assert table.sha256 == before
    assert ranks(tmp_path) == ["1", "2", "3", "4", "5"]
    assert read_trials(tmp_path / "trials.csv", 3, 2) == trials
    without_ranks(tmp_path)
    assert is_as_written(tmp_path / "trials.csv", before)
    text = (tmp_path / "trials.csv").read_text()
    (tmp_path / "trials.csv").write_text(text.replace("relu", "silu", 1))
    assert not is_as_written(tmp_path / "trials.csv", before)


def test_a_table_of_an_earlier_version_is_read_and_goes_on(finished, tmp_path):
    short = search(data(), config(trials=12), tmp_path)
    without_ranks(tmp_path)
    assert load_search(tmp_path).trials == short.trials
    assert search(data(), config(trials=12), tmp_path).trials == short.trials
    assert content(search(data(), config(), tmp_path)) == content(finished)


@pytest.mark.parametrize("damage", ["deleted", "a byte", "cut"])
@pytest.mark.parametrize("trials", [12, 18])
def test_a_table_that_was_restored_has_its_ranks(damage, trials, finished, tmp_path):
    search(data(), config(trials=12), tmp_path)
    path = tmp_path / "trials.csv"
    whole = path.read_bytes()
    before = ranks(tmp_path)
    if damage == "deleted":
        path.unlink()
    else:
        at = len(whole) // 2
        end = b"" if damage == "cut" else bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(whole[:at] + end)
    found = search(data(), config(trials=trials), tmp_path)
    if trials == 12:
        assert ranks(tmp_path) == before
        assert path.read_bytes() == whole
    else:
        assert content(found) == content(finished)
