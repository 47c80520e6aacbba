"""The results as text, and their insertion into docs/paper.md and docs/images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown_tables import replaced, table
from benchmarks.paper import claims, figures
from benchmarks.paper.results import PAPER_CANDIDATES, PAPER_KEPT, TOP
from benchmarks.paper.sizes import TOLERANCE
from emufort.files import write_text

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT, IMAGES = ROOT / "docs/paper.md", ROOT / "docs/images"

Results = Mapping[str, Any]


def percent(share: float) -> str:
    """Return a share of the set as a percentage, such as ``0.0025 %``."""
    return f"{100 * share:.4g} %"


def size_of(row: Mapping[str, Any]) -> list[str]:
    return [percent(row["share"]), f"{row['rows']:,}"]


def bracketed(one: Mapping[str, float], form: str) -> str:
    """Return the median with the range over the draws, if there are several."""
    median = f"{one['median']:{form}}"
    if one["low"] == one["high"]:
        return median
    return f"{median} ({one['low']:{form}} to {one['high']:{form}})"


def setting(found: Results) -> list[str]:
    machine, planned = found["machine"], found["planned"]
    return [
        f"The set has {found['rows']:,} rows, and {found['test rows']:,} further rows test the"
        f" networks. {found['candidates']} of {planned['candidates']} planned candidates have at"
        f" most {found['most']:,} multiply-adds; all their trainings are done."
        f" {found['trainings']:,} trainings took {found['seconds'] / 60:.0f} minutes of processor"
        f" time. Measured on {machine['cpu']}, {machine['cores']} cores, one used;"
        f" {machine['trainer']}; {machine['date'][:10]}.",
    ]


def ranks(found: Results) -> list[str]:
    def cells(row: Mapping[str, Any]) -> list[str]:
        pairs = (("correlation", "interval"), ("at equal cost", "interval at equal cost"))
        return [
            *(f"{row[key]:.2f} ({row[of][0]:.2f} to {row[of][1]:.2f})" for key, of in pairs),
            *(f"{row['overlap'][top]:g}" if top in row["overlap"] else "-" for top in (10, TOP)),
        ]

    of = found["ranks"]
    rows = [[*size_of(row), *cells(row)] for row in of["subsets"]]
    alone = of["multiply-adds alone"]
    rows.append(["multiply-adds alone", "0", *cells(alone)])
    lines = []
    if "all rows again" in of:
        again = of["all rows again"]
        rows.append(["all rows, another seed", f"{found['rows']:,}", *cells(again)])
        change = again["change of RMSE"]
        lines = [
            "",
            f"The row of another seed is that of {again['candidates']} candidates. The test RMSE of"
            f" a candidate changes with the seed by {100 * change['median']:.0f} % in the median,"
            f" and by {100 * change['high']:.0f} % at most.",
        ]
    chance = ", ".join(f"{expected:.1f} of {top}" for top, expected in alone["by chance"].items())
    return [
        *table(
            ["subset", "rows", "rank correlation", "at equal cost", "in common: of the best 10",
             f"of the best {TOP}"],
            rows,
        ),
        "",
        f"Medians over the draws of a subset, in brackets 95 % intervals from a bootstrap over the"
        f" {found['candidates']} candidates."
        + (f" By chance, {chance} would be in common." if chance else ""),
        *lines,
    ]  # fmt: skip


def skills(found: Results) -> list[str]:
    of = found["skills"]
    kept = list(of["at random"])
    rows = [
        [*size_of(row), bracketed(row["step 1 alone"], ".4f"),
         *(bracketed(row["kept"][k], ".4f") for k in kept)]
        for row in of["subsets"]
    ]  # fmt: skip
    rows.append(["K at random", "0", "", *(bracketed(of["at random"][k], ".4f") for k in kept)])
    network = "-".join(map(str, of["best"]))
    return [
        *table(["subset", "rows", "not trained again", *(f"K = {k}" for k in kept)], rows),
        "",
        f"Test RMSE of the fractions, of the network with the lowest validation loss among the K"
        f" retrained ones. Training all {found['candidates']} candidates on all rows gives"
        f" {of['all']:.4f} (hidden layers {network}). Medians over the draws of a subset, in"
        " brackets the lowest and highest.",
    ]


def speed(found: Results) -> list[str]:
    of = found["speed"]
    kept = list(of["subsets"][0]["both steps"])
    rows = [
        [*size_of(row), f"{row['epochs']:.0f}", f"{row['step 1']:.1f} s",
         f"{row['step 1 alone']:.1f}x", *(f"{row['both steps'][k]:.1f}x" for k in kept),
         f"{row['as the paper']:.1f}x"]
        for row in of["subsets"]
    ]  # fmt: skip
    rows.append(["all", f"{found['rows']:,}", f"{of['epochs']:.0f}", f"{of['all']:.0f} s", "1x",
                 *("" for _ in kept), "1x"])  # fmt: skip
    return [
        *table(
            ["subset", "rows", "epochs (median)", "step 1", "step 1 alone is faster by",
             *(f"both, K = {k}" for k in kept),
             f"multiplied: {PAPER_CANDIDATES:,} candidates, K = {PAPER_KEPT}"],
            rows,
        ),
        "",
        f"Processor time of {found['candidates']} candidates. The last column multiplies the mean"
        " times of a training of step 1, of step 2 and of all candidates on all rows.",
    ]  # fmt: skip


def sizes(found: Results) -> list[str]:
    of = found["sizes"]

    def cells(row: Mapping[str, Any]) -> list[str]:
        time = f"{row['ns']:.0f} ns" if "ns" in row else ""
        return [row["label"], f"{row['parameters']:,}", f"{row['rmse']:.4f}", time]

    chosen = {
        "lowest test RMSE": of["best"],
        f"fewest parameters within {100 * TOLERANCE:.0f} %": of["fewest parameters"],
        f"fastest within {100 * TOLERANCE:.0f} %": of["fastest"],
        "most parameters": of["largest"],
    }
    baseline = of["baseline"] or {}
    compared = "; ".join(f"{name}: {ns:.0f} ns" for name, ns in baseline.items())
    return [
        *table(
            ["", "network", "parameters", "test RMSE", "time of a sample"],
            [[name, *cells(row)] for name, row in chosen.items() if row],
        ),
        "",
        *table(
            ["parameters up to", "candidates", "best network", "parameters", "test RMSE",
             "time of a sample"],
            [[f"{row['up to']:,}", str(row["candidates"]), *cells(row)] for row in of["bins"]],
        ),
        "",
        f"{of['within tolerance']} of {found['candidates']} candidates are within"
        f" {100 * TOLERANCE:.0f} % of the lowest RMSE."
        + (f" Times are medians at 16 columns per call, without the input that is noise; {compared}"
           f" in the same rounds. {of['compiler']}, `{of['flags']}`." if compared else ""),
    ]  # fmt: skip


def samplers(found: Results) -> list[str]:
    planned = found["planned"]
    rows = [
        [f"`{row['sampler']}`", f"{row['lowest loss of step 1']:.2e}",
         f"{row['best tenth of step 1']:.2e}", bracketed(row["rmse"], ".4f"),
         bracketed(row["multiply_adds"], ",.0f"), bracketed(row["seconds"], ".0f") + " s"]
        for row in found["samplers"]
    ]  # fmt: skip
    if not rows:
        return ["No draw is finished for all samplers yet."]
    return [
        *table(
            ["sampler", "lowest loss of step 1", "best tenth of step 1", "test RMSE after step 2",
             "multiply-adds of the choice", "processor time"],
            rows,
        ),
        "",
        f"Searches with each sampler: {found['samplers'][0]['searches']}, each of"
        f" {planned['search_candidates']} candidates in batches of {planned['search_batch']} on"
        f" {percent(planned['search_share'])} of the set; {planned['search_top']} are trained on"
        " all rows. Losses are geometric means, the others medians (lowest and highest).",
    ]  # fmt: skip


#: Name of the markers in the document -> function that returns the lines between them.
SECTIONS = {
    "paper claims": claims.lines,
    "paper setting": setting,
    "paper a": ranks,
    "paper b": skills,
    "paper c": speed,
    "paper d": sizes,
    "paper e": samplers,
}


def text(found: Results) -> str:
    """Return all tables, for a terminal."""
    blocks: list[Sequence[str]] = [[name, "", *of(found), ""] for name, of in SECTIONS.items()]
    return "\n".join(line for block in blocks for line in block)


def update(found: Results) -> None:
    """Insert the results into the document and draw its figures.

    Raises
    ------
    ValueError
        The document lacks the markers of a section.
    """
    content = DOCUMENT.read_text()
    for name, of in SECTIONS.items():
        content = replaced(content, name, "\n".join(of(found)))
    write_text(DOCUMENT, content)
    figures.draw(found, IMAGES)
