"""Rules of a valid contract, with which every later step can work; each error is one line."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from emufort.errors import did_you_mean

if TYPE_CHECKING:
    from emufort.contract import Column, Contract, Input, Output, Parameter

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
#: A Fortran name has at most 63 characters.
_LONGEST_NAME = 63
#: UTF-8 bytes that the Fortran runtime keeps of a column's name and of its units: `name_length` and
#: `units_length` in emufort_emulator.F90.
LONGEST_COLUMN_NAME = 128
LONGEST_UNITS = 64
#: Most bytes of a name in the data file or of a scheme, which becomes part of file names.
_LONGEST_WORD = 128

#: Most values of all variables in one sample.
MOST_COLUMNS = 65_536
#: A Fortran array has at most 15 dimensions, the first of which is that of the columns.
_MOST_DIMENSIONS = 14
#: Outputs, weights and the ONNX model are single precision.
_LARGEST = float(np.finfo(np.float32).max)
#: Largest training weight of an output; the smallest is its reciprocal.
_LARGEST_WEIGHT = 1e6


def check_name(name: str) -> str:
    """Return `name` if it can name a variable in Python, netCDF and Fortran.

    Raises
    ------
    ValueError
        The name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a variable: use letters, digits and underscores")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"'{name}' is longer than {_LONGEST_NAME} characters")
    return name


def check_text(text: str) -> str:
    """Return a text for people if it is one line without control characters.

    Raises
    ------
    ValueError
        The text holds a tab, a line break or another control character.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
            raise ValueError(
                f"{text!r} holds the control character {character!r}; write it on one line, "
                "without tabs"
            )
    return text


def check_word(word: str) -> str:
    """Return a name in the data file, or of a scheme, if it is valid.

    Raises
    ------
    ValueError
        The name is empty, very long, or holds a slash, a control character or blanks at an end.
    """
    check_text(word)
    if not word or word != word.strip() or "/" in word:
        raise ValueError(f"{word!r} is not a name: it is empty, or has a slash or blanks at an end")
    if len(word.encode()) > _LONGEST_WORD:
        raise ValueError(f"'{word}' is longer than {_LONGEST_WORD} bytes")
    return word


def check_units(units: str) -> str:
    """Return units if the runtime can hold them.

    Raises
    ------
    ValueError
        The units are too long, or hold a control character.
    """
    check_text(units)
    if len(units.encode()) > LONGEST_UNITS:
        raise ValueError(f"the units '{units}' are longer than {LONGEST_UNITS} bytes")
    return units


def check_contract(contract: Contract) -> None:
    """Check that the parts of a contract do not contradict each other.

    Raises
    ------
    ValueError
        There is a contradiction; the message describes the first.
    """
    if not _NAME.fullmatch(contract.name):
        raise ValueError(f"{contract.name!r} cannot name a Fortran module")
    if not contract.input or not contract.output:
        raise ValueError("a contract needs at least one [[input]] and one [[output]]")
    _check_dimensions(contract)
    _check_variables(contract)
    if not any(v.feature for v in contract.input):
        raise ValueError("no input is a feature of the network")
    _check_references(contract)
    columns = (*contract.input_columns, *contract.output_columns)
    for column in columns:
        _check_column(column)
    double = _twice(column.name for column in columns)
    if double is not None:
        raise ValueError(f"two columns are called '{double}'; choose labels without commas")
    for output in contract.output:
        lower, upper = output.lower_bound, output.upper_bound
        if lower is not None and upper is not None and not lower < upper:
            raise ValueError(
                f"the lower_bound of '{output.name}', {lower:g}, is not below its upper_bound, "
                f"{upper:g}"
            )
        for bound in (lower, upper):
            if bound is not None and abs(bound) > _LARGEST:
                raise ValueError(
                    f"single precision cannot hold the bound {bound:g} of '{output.name}'"
                )
    _check_judgement(contract)
    _check_split(contract)


def _twice(words: Iterable[str]) -> str | None:
    """Return the first word that appears twice, or None."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return None


def _check_dimensions(contract: Contract) -> None:
    double = _twice(contract.sample_dimensions)
    if double is not None:
        raise ValueError(f"sample_dimensions lists '{double}' twice")
    for name, labels in contract.dimensions.items():
        check_word(name)
        if name in contract.sample_dimensions:
            raise ValueError(f"[dimensions] lists '{name}', which is the sample_dimension")
        if name == contract.row_dimension:
            raise ValueError(f"[dimensions] lists '{name}', the dimension of stacked samples")
        if isinstance(labels, int):
            if not 1 <= labels <= MOST_COLUMNS:
                raise ValueError(f"the size of the dimension '{name}' is not 1 to {MOST_COLUMNS:,}")
            continue
        if not labels:
            raise ValueError(f"the dimension '{name}' has no labels")
        for label in labels:
            check_text(label)
            if not label or label != label.strip():
                raise ValueError(
                    f"the label {label!r} of the dimension '{name}' is empty or has blanks at an "
                    "end"
                )
        double = _twice(labels)
        if double is not None:
            raise ValueError(f"the dimension '{name}' has the label '{double}' twice")
    double = _twice(name.lower() for name in contract.dimensions)
    if double is not None:
        raise ValueError(f"two dimensions are called '{double}', apart from upper and lower case")


def _check_variables(contract: Contract) -> None:
    variables: tuple[Input | Output | Parameter, ...]
    variables = (*contract.input, *contract.output, *contract.parameter)
    double = _twice(v.name.lower() for v in variables)
    if double is not None:
        raise ValueError(f"the variable '{double}' appears twice (Fortran ignores case)")
    for variable in variables:
        for dimension in variable.dimensions:
            if dimension not in contract.dimensions:
                raise ValueError(
                    f"'{variable.name}' has the dimension '{dimension}' which [dimensions] does "
                    f"not list{did_you_mean(dimension, contract.dimensions)}"
                )
        double = _twice(variable.dimensions)
        if double is not None:
            raise ValueError(f"'{variable.name}' has the dimension '{double}' twice")
        if len(variable.dimensions) > _MOST_DIMENSIONS:
            raise ValueError(
                f"'{variable.name}' has {len(variable.dimensions)} dimensions; a Fortran array "
                f"has {_MOST_DIMENSIONS} and that of the columns"
            )
    # Before any column is made: a few digits in a file may stand for billions of them.
    n_columns = sum(map(contract.width, variables))
    if n_columns > MOST_COLUMNS:
        raise ValueError(
            f"the variables have {n_columns:,} values in one sample; at most {MOST_COLUMNS:,} are "
            "possible"
        )
    for output in contract.output:
        _check_weight(output, contract.width(output))
    for parameter in contract.parameter:
        length = contract.width(parameter)
        if len(parameter.values) != length:
            raise ValueError(
                f"the parameter '{parameter.name}' needs {length} values and has "
                f"{len(parameter.values)}"
            )


def _check_weight(output: Output, width: int) -> None:
    given = output.training_weight
    weights = given if isinstance(given, tuple) else (given,)
    if isinstance(given, tuple) and len(weights) != width:
        raise ValueError(
            f"the training_weight of '{output.name}' has {len(weights)} values; give one number, "
            f"or {width} values"
        )
    for weight in weights:
        if not 1 / _LARGEST_WEIGHT <= weight <= _LARGEST_WEIGHT:
            raise ValueError(
                f"the training_weight of '{output.name}', {weight:g}, is not "
                f"{1 / _LARGEST_WEIGHT:g} to {_LARGEST_WEIGHT:g}"
            )
    if output.transform == "sigmoid" and given != 1.0:
        raise ValueError(
            f"'{output.name}' has the transform 'sigmoid', which takes no training_weight; choose "
            "the transform 'logit' or remove the weight"
        )


def _check_column(column: Column) -> None:
    if len(column.name.encode()) > LONGEST_COLUMN_NAME:
        raise ValueError(
            f"the column '{column.name}' has a name of {len(column.name.encode())} bytes and may "
            f"have {LONGEST_COLUMN_NAME}; shorten the label"
        )
    inside = 0 < column.lower < column.upper < 1
    if column.transform == "logit" and not column.is_output and not inside:
        raise ValueError(
            f"the logit of {column.name} needs a range between 0 and 1, excluding 0 and 1"
        )
    if not column.lower < column.upper:
        raise ValueError(f"the range of {column.name} is empty")
    if column.transform in ("ln", "log10") and -math.inf < column.lower <= 0:
        raise ValueError(
            f"the logarithm of {column.name} needs a range above 0, not from {column.lower}"
        )
    if math.isfinite(column.lower):
        if max(abs(column.lower), abs(column.upper)) > _LARGEST:
            raise ValueError(f"single precision cannot hold the range of {column.name}")
        if not np.float32(column.lower) < np.float32(column.upper):
            raise ValueError(f"the range of {column.name} is empty in single precision; widen it")


def _check_references(contract: Contract) -> None:
    inputs = {v.name: v for v in contract.input}
    for output in contract.output:
        if output.relative_to is None:
            continue
        reference = inputs.get(output.relative_to)
        if reference is None:
            raise ValueError(
                f"'{output.name}' is relative to '{output.relative_to}', which is not an input"
                f"{did_you_mean(output.relative_to, inputs)}"
            )
        if reference.dimensions != output.dimensions:
            raise ValueError(f"'{output.name}' and '{reference.name}' have different dimensions")
        if output.transform not in ("ln", "log10"):
            raise ValueError(f"'{output.name}': relative_to needs the transform 'ln'")


def _check_split(contract: Contract) -> None:
    split = contract.split
    if split is None:
        return
    given = split.model_fields_set
    if split.dimension is None:
        if "block" in given:
            raise ValueError("split.block is given without split.dimension; add the dimension")
    elif "variable" in given:
        raise ValueError("split.variable and split.dimension are both given; leave one out")
    elif split.dimension not in contract.sample_dimensions:
        raise ValueError(
            f"split.dimension is '{split.dimension}', which is not a sample dimension"
            f"{did_you_mean(split.dimension, contract.sample_dimensions)}"
        )


def _check_judgement(contract: Contract) -> None:
    """Check skill variables and baselines, as far as possible without calling a head."""
    outputs = [v.name for v in contract.output]
    judged = contract.skill_variables
    for name in judged:
        check_word(name)
        if contract.skill.head is None and name not in outputs:
            raise ValueError(
                f"skill.variables names '{name}', which is not an output"
                f"{did_you_mean(name, outputs)}; name outputs, or a head that gives it"
            )
    double = _twice(judged)
    if double is not None:
        raise ValueError(f"skill.variables names '{double}' twice")
    double = _twice(b.name.lower() for b in contract.baseline)
    if double is not None:
        raise ValueError(f"two baselines are called '{double}', apart from upper and lower case")
    for baseline in contract.baseline:
        if baseline.name.lower() == "emulator":
            raise ValueError("a baseline cannot be called 'emulator'; rename it")
        if len(baseline.variables) != len(baseline.quantities):
            raise ValueError(
                f"the baseline '{baseline.name}' has {len(baseline.variables)} in 'variable' and "
                f"{len(baseline.quantities)} in 'gives'; give one quantity for each variable"
            )
        double = _twice(baseline.quantities)
        if double is not None:
            raise ValueError(f"the baseline '{baseline.name}' gives '{double}' twice")
        if baseline.head is not None or contract.skill.head is not None:
            continue
        for quantity in baseline.quantities:
            if quantity not in outputs:
                raise ValueError(
                    f"the baseline '{baseline.name}' gives '{quantity}', which is not an output"
                    f"{did_you_mean(quantity, outputs)}; name an output, or a head that takes it"
                )
