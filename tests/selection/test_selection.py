"""The front is right for any table, every rule chooses from it, and words say why."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emufort.contract import Contract
from emufort.errors import EmufortError, UsageError
from emufort.selection.entry import Entry
from emufort.selection.front import knee, pareto_front
from emufort.selection.select import select
from emufort.selection.tables import with_needed_schemes
from emufort.selection.words import nanoseconds

TYPICAL = [(20, 0.0075), (34, 0.0046), (60, 0.0036), (100, 0.0030), (180, 0.0026), (300, 0.0025)]


def table(points: Sequence[tuple[float, float]]) -> list[Entry]:
    return [Entry(f"t{i:05d}-s1", f"net {i}", e, t) for i, (t, e) in enumerate(points)]


def rows_of(entries: Sequence[Entry], ncol: int = 16) -> tuple[list[dict[str, Any]], ...]:
    """Tables as read from CSV: strings."""
    candidates = [{"id": e.id, "label": e.label, "rmse": repr(e.rmse)} for e in entries]
    times = [
        {"id": e.id, "kind": "candidate", "ncol": str(n), "ns_per_sample": repr(factor * t)}
        for e in entries
        for n, factor, t in ((1, 9.0, e.ns_per_sample), (ncol, 1.0, e.ns_per_sample))
    ]
    return candidates, times


def chosen(points: Sequence[tuple[float, float]], rule: str) -> float:
    """Time of the choice."""
    return select(*rows_of(table(points)), rule=rule).choice.ns_per_sample


numbers = st.sampled_from([1.0, 1.5, 2.0, 3.0, 5.0, 5.05, 8.0, 13.0, 21.0, 400.0])
entries = st.lists(
    st.builds(
        lambda label, seed, e, t: Entry(f"{label}-s{seed}", label, e, t),
        st.sampled_from("abcdefgh"),
        st.integers(1, 3),
        numbers.map(lambda v: v / 1000),
        numbers,
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda e: e.id,
)
rules = st.sampled_from(["knee", "best", "fastest-within=5%", "fastest-within=0%", "max-ns=1e9"])


# The same examples every time, however busy the machine.
examples = settings(deadline=None, derandomize=True)


def dominates(a: Entry, b: Entry) -> bool:
    return (
        a.rmse <= b.rmse
        and a.ns_per_sample <= b.ns_per_sample
        and (a.rmse, a.ns_per_sample) != (b.rmse, b.ns_per_sample)
    )


# ------------------------------------------------------------------------------------- the front


@examples
@given(entries)
def test_the_front_is_undominated_and_complete(found: list[Entry]) -> None:
    front = pareto_front(found)
    best_seeds = [
        min((e for e in found if e.label == label), key=lambda e: (e.rmse, e.ns_per_sample))
        for label in {e.label for e in found}
    ]
    assert not any(dominates(a, b) for a in best_seeds for b in front)
    values = {(e.rmse, e.ns_per_sample) for e in front}
    for entry in best_seeds:
        on_front = (entry.rmse, entry.ns_per_sample) in values
        assert on_front != any(dominates(other, entry) for other in best_seeds)
    assert all(
        a.ns_per_sample < b.ns_per_sample and a.rmse > b.rmse for a, b in itertools.pairwise(front)
    )


@examples
@given(entries, st.randoms())
def test_order_and_duplicates_do_not_matter(found: list[Entry], random: Any) -> None:
    shuffled = found + random.sample(found, len(found) // 2)
    random.shuffle(shuffled)
    assert pareto_front(shuffled) == pareto_front(found)
    assert select(*rows_of(shuffled)).to_dict() == select(*rows_of(found)).to_dict()


@examples
@given(entries, st.sampled_from(["knee", "best", "fastest-within=5%", "max-ns=1000"]))
def test_every_rule_chooses_from_the_front(found: list[Entry], rule: str) -> None:
    selection = select(*rows_of(found), rule=rule)
    assert selection.choice in selection.front
    assert str(selection.choice) in selection.reason
    if rule == "best":
        assert selection.choice.rmse == min(e.rmse for e in found)
    if rule.startswith("fastest"):
        assert selection.choice.rmse <= 1.05 * min(e.rmse for e in found) + 1e-12
    assert set(selection.all) == set(found)


@examples
@given(entries, st.floats(0.1, 100), st.floats(0.1, 100))
def test_the_knee_does_not_depend_on_units(found: list[Entry], a: float, b: float) -> None:
    scaled = [Entry(e.id, e.label, e.rmse * a, e.ns_per_sample * b) for e in found]
    assert knee(pareto_front(scaled))[0].id == knee(pareto_front(found))[0].id


def test_of_the_seeds_of_a_network_the_best_takes_part() -> None:
    found = [
        Entry("t00001-s1", "net", 0.004, 30.0),
        Entry("t00001-s2", "net", 0.003, 31.0),
        Entry("t00002-s1", "large", 0.002, 90.0),
    ]
    assert [e.id for e in pareto_front(found)] == ["t00001-s2", "t00002-s1"]


# -------------------------------------------------------------------------------------- the knee


def test_the_knee_of_a_typical_table() -> None:
    assert chosen(TYPICAL, "knee") == 60


@pytest.mark.parametrize(
    "outliers",
    [
        [(12, 0.02)],  # tiny and bad
        [(5, 0.2), (8, 0.05)],
        [(3000, 0.00249)],  # huge for nothing
        [(12, 0.02), (3000, 0.00249)],
    ],
)
def test_useless_ends_do_not_move_the_knee(outliers: list[tuple[float, float]]) -> None:
    assert chosen(TYPICAL + outliers, "knee") == 60


@pytest.mark.parametrize(
    ("points", "time"),
    [
        ([(50, 0.003)], 50),
        ([(50, 0.004), (100, 0.002)], 100),  # half the error for twice the time pays
        ([(50, 0.0040), (100, 0.0036)], 50),  # a tenth less for twice the time does not
        ([(50, 0.00303), (400, 0.003)], 50),  # within what a seed changes
        ([(10, 0.02), (100, 0.003)], 100),  # the fast one is no contender
        ([(10, 0.008), (80, 0.0079), (100, 0.003)], 100),  # none below the chord: the ends compared
        ([(10, 0.004), (80, 0.0039), (100, 0.003)], 10),
        ([(10, 0.002), (100, 0.002**0.5 * 0.001**0.5), (1000, 0.001)], 10),  # straight
        ([(10, 0.008), (20, 0.0042), (400, 0.004)], 20),
    ],
)
def test_knees_of_small_and_odd_fronts(points: list[tuple[float, float]], time: float) -> None:
    assert chosen(points, "knee") == time


def test_of_equally_distant_members_the_faster_is_the_knee() -> None:
    """Symmetric about the diagonal of the front in logarithms."""
    points = [(1, 0.002), (2**0.25, 0.002 / 2**0.5), (2**0.5, 0.002 / 2**0.75), (2, 0.001)]
    assert chosen(points, "knee") == 2**0.25


# ------------------------------------------------------------------------------------- the rules


def test_the_other_rules() -> None:
    assert chosen(TYPICAL, "best") == 300
    assert chosen(TYPICAL, "fastest-within=5%") == 180
    assert chosen(TYPICAL, "fastest-within=20 %") == 100
    assert chosen(TYPICAL, "fastest-within=0%") == 300
    assert chosen(TYPICAL, "max-ns=99.9") == 60
    assert chosen(TYPICAL, "max-ns=100") == 100


@pytest.mark.parametrize(
    "rule",
    [
        "kne",
        "",
        "best=1",
        "fastest-within",
        "fastest-within=5",
        "max-ns",
        "max-ns=-1",
        "faster-than",
    ],
)
def test_a_bad_rule_names_the_known_ones(rule: str) -> None:
    with pytest.raises(UsageError, match="best, max-ns=200 or faster-than=ARG2000"):
        chosen(TYPICAL, rule)


def test_a_misspelt_rule_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean 'knee'"):
        chosen(TYPICAL, "kne")


@pytest.mark.parametrize(
    ("scheme_time", "time", "words"),
    [
        (240.0, 180, "has the lowest error among those of the front (6 members, 16 columns per"),
        (180.0, 100, "that are faster than ARG2000"),  # not the network of equal time
        (10.0, 20, "none is faster than ARG2000"),
        (1e6, 300, "that are faster than ARG2000"),
        (None, 60, "The time of ARG2000 was not measured. t00002-s1 (net 2) is the knee"),
    ],
)
def test_the_most_accurate_network_that_is_faster_than_a_scheme(
    scheme_time: float | None, time: float, words: str
) -> None:
    candidates, times = rows_of(table(TYPICAL))
    for name, taken in (("ARG2000", scheme_time), ("OTHER", 15.0)):
        if taken is not None:
            times.append(
                {"id": name, "kind": "baseline", "ncol": "16", "ns_per_sample": repr(taken)}
            )
    selection = select(candidates, times, rule="faster-than=ARG2000")
    assert selection.choice.ns_per_sample == time
    assert words in selection.reason


def test_an_error_that_is_lower_by_noise_justifies_no_more_time() -> None:
    candidates, times = rows_of(table([(20, 0.004), (50, 0.002), (90, 0.00197), (400, 0.001)]))
    times.append({"id": "ARG2000", "kind": "baseline", "ncol": "16", "ns_per_sample": "100"})
    assert select(candidates, times, rule="faster-than=ARG2000").choice.ns_per_sample == 50


def test_too_tight_a_limit_says_what_would_do() -> None:
    with pytest.raises(EmufortError, match=r"t00000-s1 \(net 0\), takes 20; set max-ns=20 or"):
        chosen(TYPICAL, "max-ns=10")
    with pytest.raises(EmufortError, match=r"set max-ns=20\.1 or") as caught:
        chosen([(20.01, 0.003)], "max-ns=10")
    assert chosen([(20.01, 0.003)], "max-ns=20.1") == 20.01
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5123, "0.512"), (51.44, "51.4"), (999.4, "999"), (999.6, "1,000"), (21_437.0, "21,400")],
)
def test_times_have_three_digits_and_no_exponent(value: float, words: str) -> None:
    assert nanoseconds(value) == words


# ------------------------------------------------------------------------------------ the tables


def test_the_reason_reads_well() -> None:
    candidates, times = rows_of(table(TYPICAL))
    times.append(
        {"id": "ARG2000", "kind": "baseline", "ncol": "16", "ns_per_sample": "240.0"},
    )
    selection = select(candidates, times, baselines={"ARG2000": 0.108, "MBN2014": 0.036})
    assert selection.reason == (
        "t00002-s1 (net 2) is the knee of the front (6 members, 16 columns per call): beyond it, "
        "more time lowers the error much less than up to it. Its RMSE over the validation rows is "
        "0.0036 at 60 ns per sample. The next slower, t00003-s1 (net 3), lowers the error by 17 % "
        "at 1.7 times the time. The next faster, t00001-s1 (net 1), saves 43 % of the time and "
        "raises the error by 28 %. ARG2000 has 30 times the error and takes 4 times the time (240 "
        "ns per sample). "
        "MBN2014 has 10 times the error (its time was not measured)."
    )
    content = selection.to_dict()
    assert content["choice"] == "t00002-s1"
    keys = ["rule", "ncol", "choice", "reason", "front", "all", "baselines", "backend", "caveat"]
    assert list(content) == keys
    assert content["caveat"] == ""
    assert content["front"][0] == {
        "id": "t00000-s1",
        "label": "net 0",
        "rmse": 0.0075,
        "ns_per_sample": 20.0,
    }
    assert content["baselines"][1] == {"name": "MBN2014", "rmse": 0.036, "ns_per_sample": None}


def test_the_times_of_the_asked_number_of_columns_count() -> None:
    tables = rows_of(table(TYPICAL))
    assert select(*tables, rule="best", ncol=1).choice.ns_per_sample == 2700
    with pytest.raises(UsageError, match=r"ncol 64 but at 1, 16"):
        select(*tables, ncol=64)


def test_damaged_tables_are_refused() -> None:
    candidates, times = rows_of(table(TYPICAL))
    with pytest.raises(EmufortError, match="empty"):
        select([], times)
    with pytest.raises(EmufortError, match="t00005-s1 has no time at ncol 16"):
        select(candidates, [row for row in times if row["id"] != "t00005-s1"])
    candidates[2]["rmse"] = "nan"
    with pytest.raises(EmufortError, match="the RMSE of t00002-s1 is 'nan'"):
        select(candidates, times)


def test_selection_needs_no_torch() -> None:
    code = (
        "import sys, emufort.selection.select; "
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("baseline", "expected"), [(1000.0, 60.0), (50.0, 34.0), (5.0, 60.0)])
def test_the_knee_is_faster_than_the_classical_scheme_if_any_is(
    baseline: float, expected: float
) -> None:
    candidates, times = rows_of(table(TYPICAL))
    times.append({"id": "C", "kind": "baseline", "ncol": "16", "ns_per_sample": str(baseline)})
    selection = select(candidates, times)
    assert selection.choice.ns_per_sample == expected
    assert ("faster than C" in selection.reason) == (baseline == 50.0)
    assert len(selection.front) == len(TYPICAL)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rule", ["knee", "best", "fastest-within=5%", "max-ns=1000"])
@pytest.mark.parametrize("baseline", [0.0, 0.01])
def test_an_error_of_zero_can_be_chosen_and_compared_with(rule: str, baseline: float) -> None:
    found = select(
        *rows_of(table([(20, 0.01), (60, 0.0), (90, 0.0)])), rule, baselines={"table": baseline}
    )
    assert (found.choice.rmse, found.choice.ns_per_sample) == (0.0, 60)
    assert "has an error of 0.01" in found.reason
    assert ("table has no error" in found.reason) == (baseline == 0.0)
    assert ("table has an RMSE of 0.01" in found.reason) == (baseline > 0.0)
    assert select(*rows_of(table([(20, 0.0)])), rule).choice.rmse == 0.0


def test_a_baseline_without_error_is_compared_with() -> None:
    found = select(*rows_of(table(TYPICAL)), baselines={"oracle": 0.0})
    assert "oracle has no error" in found.reason


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", "", "much"])
def test_an_error_that_is_no_number_is_refused(value: str) -> None:
    candidates, times = rows_of(table(TYPICAL))
    candidates[2]["rmse"] = value
    with pytest.raises(EmufortError, match="number from 0 on"):
        select(candidates, times)


CAVEAT = (
    "Times are those of ONNX Runtime, not of the compiled Fortran that a host model runs. With "
    "times of compiled Fortran, the choice may differ."
)


@pytest.mark.parametrize(("backend", "caveat"), [("fortran", ""), ("onnxruntime", CAVEAT)])
def test_the_reason_says_whose_times_they_are(backend: str, caveat: str) -> None:
    candidates, times = rows_of(table(TYPICAL))
    selection = select(candidates, [{**row, "backend": backend} for row in times])
    assert (selection.backend, selection.caveat) == (backend, caveat)
    assert selection.reason.endswith(caveat)
    assert (CAVEAT in selection.reason) == bool(caveat)
    assert selection.to_dict()["caveat"] == caveat


def contract_of(relative: bool) -> Contract:
    text = """
name = "pond"
[[input]]
name = "depth"
[[input]]
name = "guess"
transform = "ln"
feature = false
[[output]]
name = "evaporation"
transform = "ln"
"""
    baseline = '[[baseline]]\nname = "Dalton"\nvariable = "guess"\ngives = "evaporation"\n'
    return Contract.from_toml(text + ('relative_to = "guess"\n' if relative else "") + baseline)


def times_with_scheme(**ns: float) -> list[dict[str, Any]]:
    return [
        {"id": name, "kind": kind, "ncol": "16", "ns_per_sample": repr(value)}
        for name, value in ns.items()
        for kind in ("baseline" if name == "Dalton" else "candidate",)
    ]


def test_the_time_of_a_scheme_counts_for_networks_that_need_it() -> None:
    contracts = {"with_it": contract_of(True), "alone": contract_of(False)}
    times = times_with_scheme(with_it=100.0, alone=120.0, Dalton=50.0)
    found = with_needed_schemes(times, contracts, contracts["alone"])
    assert [float(row["ns_per_sample"]) for row in found] == [150.0, 120.0, 50.0]


def test_a_scheme_that_was_not_timed_does_not_count_as_free() -> None:
    contracts = {"with_it": contract_of(True), "alone": contract_of(False)}
    times = times_with_scheme(with_it=100.0, alone=120.0)
    with pytest.raises(EmufortError, match="with_it needs the value of the scheme 'Dalton', whose"):
        with_needed_schemes(times, contracts, contracts["alone"])
    # Where no network needs the scheme, its time is not asked for.
    assert len(with_needed_schemes(times[1:], contracts, contracts["alone"])) == 1
