"""MODEL_CARD.md: description, inputs, outputs, skill and limits of an emulator."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emufort import __version__
from emufort.contract import Column, Contract, Input, Output
from emufort.dataset.constant_outputs import ConstantOutput
from emufort.dataset.dataset import Dataset
from emufort.dataset.splits import SPLITS
from emufort.escape import Markdown, markdown, markdown_code
from emufort.export.fortran import dummy_name, needs_workspace, requires_workspace
from emufort.export.host_arrays import has_matrices, shape_text
from emufort.export.render import render
from emufort.export.weights_form import Form
from emufort.network.emulator import Emulator
from emufort.retrain.agreement_words import LEGEND, Agreement
from emufort.skill import Skill, skill_of_baseline, skill_of_emulator

_TRANSFORMS = {
    "standardise": "standardised",
    "minmax": "scaled by its range",
    "ln": "ln",
    "log10": "ln",
    "logit": "logit",
    "sigmoid": "sigmoid",
    "none": "unchanged",
}


@dataclass(frozen=True)
class TestSkill:
    """Skill on the test split, which neither training nor selection has used.

    Attributes
    ----------
    n_rows
        Number of rows of the split.
    emulator
        Scores of the exported network.
    baselines
        Scores of the classical schemes that the data set holds.
    normalised
        Whether overall errors are in standard deviations, see `Contract.skill_is_normalised`.
    """

    __test__ = False  # pytest must not collect this class

    n_rows: int
    emulator: Skill
    baselines: Mapping[str, Skill]
    normalised: bool

    @classmethod
    def of(
        cls, emulator: Emulator, data: Dataset, judge: Dataset | None = None
    ) -> TestSkill | None:
        """Compute the skill on the test split; None if `data` has no test rows.

        Parameters
        ----------
        data
            The data set of the emulator's contract.
        judge
            The same rows read by the contract whose skill variables are scored; default `data`.
        """
        if not (data.split == SPLITS.index("test")).any():
            return None
        test = data.part("test")
        judge = test if judge is None else judge.part("test")
        names = [baseline.name for baseline in judge.contract.baseline]
        return cls(
            len(test),
            skill_of_emulator(emulator, test, judge),
            {name: skill_of_baseline(judge, name) for name in names},
            judge.contract.skill_is_normalised,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "rows": self.n_rows,
            "test": self.emulator.to_dict(),
            "baselines": {name: skill.to_dict() for name, skill in self.baselines.items()},
        }


def model_card(
    emulator: Emulator,
    data: Dataset,
    skill: TestSkill | None,
    *,
    name: str,
    module: str,
    date: str,
    bundle_hash: str,
    files: Mapping[str, str],
    form: Form,
    caveat: str = "",
    agreement: Agreement | None = None,
) -> str:
    """Return the text of MODEL_CARD.md.

    Parameters
    ----------
    emulator, data, skill
        The network, the data set on which it was scored, and the scores.
    name, module
        Names of the emulator and of its Fortran module.
    date
        Day of the export.
    bundle_hash
        Hash that the module prints, see `Manifest.hash`.
    files
        Name -> SHA-256 of the other files of the bundle.
    form
        How the generated module gets its weights.
    caveat
        A sentence about how the network was selected, or empty.
    agreement
        How well step 1 of the run predicted step 2; None if that is not known.
    """
    contract = emulator.contract
    n_columns = len(contract.input_columns) + len(contract.output_columns)
    trained_on = emulator.metadata.get("data_sha256")
    counts = [f"{int((data.split == k).sum())} for {s}" for k, s in enumerate(SPLITS)]
    dropped = [f"{count} as {meaning}" for meaning, count in data.dropped.items() if count]
    return render(
        "MODEL_CARD.md.j2",
        name=name,
        # Fortran names, which appear within code.
        module=Markdown(module),
        title=(contract.title or name).rstrip("."),
        version=__version__,
        date=date,
        hash=bundle_hash,
        architecture=emulator.architecture,
        inputs=[_input_row(emulator, v) for v in contract.input],
        outputs=[_output_row(contract, v) for v in contract.output],
        parameters=[
            {
                "name": p.name,
                "long_name": p.long_name,
                "units": p.units,
                "value": ", ".join(f"{value:g}" for value in p.values),
            }
            for p in contract.parameter
        ],
        labels={
            n: labels for n, labels in contract.dimensions.items() if isinstance(labels, tuple)
        },
        host_shape=_host_shape(contract),
        constants=[_constant_row(one) for one in emulator.constants],
        normalised=skill is not None and skill.normalised,
        judged=contract.skill_variables,
        skill=None if skill is None else _skill_tables(name, skill),
        data={
            "name": data.source.name,
            "sha256": data.sha256,
            "trained_on": trained_on if trained_on != data.sha256 else None,
            "counts": f"{len(data)} usable rows: {', '.join(counts)}."
            + (f" Left out: {', '.join(dropped)}." if dropped else ""),
        },
        arguments=Markdown(_arguments(contract, module)),
        n_inputs=len(contract.input_columns),
        n_outputs=len(contract.output_columns),
        files=files,
        caveat=caveat,
        agreement=agreement,
        legend=LEGEND,
        form=form,
        precision=emulator.precision,
        wide=needs_workspace(emulator.architecture, n_columns),
        is_large=requires_workspace(emulator.architecture),
    )


def _arguments(contract: Contract, module: str) -> str:
    """Return the arguments of a call in Fortran, on as many lines as they need."""
    names = (dummy_name(v.name, module) for v in (*contract.input, *contract.output))
    lines = textwrap.wrap(", ".join(["ncol", *names, "status"]), 90, break_long_words=False)
    return " &\n    ".join(lines)


def _row(contract: Contract, variable: Input | Output, columns: Sequence[Column]) -> dict[str, str]:
    own = [c for c in columns if c.variable == variable.name]
    ranges = [_interval(c.lower, c.upper) for c in own]
    seen = not isinstance(variable, Input) or variable.feature
    return {
        "name": markdown_code(variable.name),
        "long_name": variable.long_name or variable.name.replace("_", " "),
        "units": variable.units,
        "shape": _shape(contract, variable),
        "range": ranges[0] if len(set(ranges)) == 1 else "; ".join(ranges),
        "transform": _TRANSFORMS[variable.transform] if seen else "not seen by it",
    }


def _shape(contract: Contract, variable: Input | Output) -> str:
    names = f": {', '.join(variable.dimensions)}" if len(variable.dimensions) > 1 else ""
    return shape_text(contract, variable) + names


def _host_shape(contract: Contract) -> str:
    """Return the general shape of the variables with dimensions, empty if there are none."""
    if has_matrices(contract):
        return "(ncol, n, ...)"
    return "(ncol, n)" if contract.dimensions else ""


def _input_row(emulator: Emulator, variable: Input) -> dict[str, str]:
    contract = emulator.contract
    row = _row(contract, variable, contract.input_columns)
    features = (contract.input_columns[i] for i in contract.feature_indices)
    scales = zip(features, emulator.input_scaler.scale, strict=True)
    fixed = [scale == 0 for column, scale in scales if column.variable == variable.name]
    if any(fixed):
        share = "" if all(fixed) else f"{row['transform']}; {sum(fixed)} of {len(fixed)} "
        row["transform"] = f"{share}not seen by it: constant in training"
    return row


def _output_row(contract: Contract, variable: Output) -> dict[str, str]:
    row = _row(contract, variable, contract.output_columns)
    lower, upper = variable.lower_bound, variable.upper_bound
    row["range"] = _interval(
        -math.inf if lower is None else lower, math.inf if upper is None else upper
    )
    if variable.relative_to is not None:
        row["transform"] = Markdown(
            f"{markdown(row['transform'])} of the ratio to {markdown_code(variable.relative_to)}"
        )
    if variable.training_weight != 1.0:
        row["transform"] = Markdown(f"{markdown(row['transform'])}; {_weights(variable)}")
    return row


def _weights(variable: Output) -> str:
    if isinstance(variable.training_weight, float):
        return f"training weight {variable.training_weight:g}"
    lowest, highest = min(variable.training_weight), max(variable.training_weight)
    return f"training weights {lowest:g} to {highest:g}"


def _constant_row(constant: ConstantOutput) -> dict[str, str]:
    value = f"{constant.value:.9g}"
    if constant.relative_to is not None:
        value = Markdown(f"{value} times {markdown_code(constant.relative_to)}")
    return {"name": markdown_code(constant.name), "value": value, "units": constant.units}


def _interval(lower: float, upper: float) -> str:
    if math.isfinite(lower) and math.isfinite(upper):
        return f"{lower:g} to {upper:g}"
    if math.isfinite(lower):
        return f"at least {lower:g}"
    return f"at most {upper:g}" if math.isfinite(upper) else "any"


def _skill_tables(name: str, skill: TestSkill) -> dict[str, Any]:
    schemes = {Markdown(f"**{markdown(name)}**"): skill.emulator, **skill.baselines}
    columns = skill.emulator.columns
    return {
        "n_rows": skill.n_rows,
        "rows": [_scores(label, one.overall) for label, one in schemes.items()],
        "columns": [_scores(markdown_code(c), s) for c, s in columns.items()]
        if len(columns) > 1
        else [],
    }


def _scores(label: str, score: Any) -> dict[str, str]:
    return {
        "name": label,
        "rmse": f"{score.rmse:.4g}",
        "mae": f"{score.mae:.4g}",
        "bias": f"{score.bias:+.2g}",
        "r2": "-" if math.isnan(score.r2) else f"{score.r2:.5f}",
    }
