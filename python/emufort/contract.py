"""The contract of an emulator: inputs and outputs with their order, units and ranges.

A contract is a TOML file with everything that the rest of the package needs to know about a
process. This module and the modules that read a contract are independent of any particular process.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StrictInt,
    ValidationError,
    model_serializer,
    model_validator,
)

from emufort.brief import brief, listed
from emufort.contract_files import is_path, named_contract
from emufort.contract_rules import (
    check_contract,
    check_name,
    check_text,
    check_units,
    check_word,
)
from emufort.errors import ContractError
from emufort.messages import explain, one_line
from emufort.paths import PathLike
from emufort.processes import registry as processes
from emufort.short_forms import long_form, short_form

InputTransform = Literal["standardise", "minmax", "ln", "log10", "logit", "none"]
OutputTransform = Literal["standardise", "minmax", "ln", "log10", "logit", "sigmoid", "none"]

#: Types of texts: name of a variable; text for people; name in the data file; units.
Name = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, AfterValidator(check_text)]
Word = Annotated[str, AfterValidator(check_word)]
Units = Annotated[str, AfterValidator(check_units)]
#: Integers that fit in 32 bits, as in Fortran.
_LARGEST_INTEGER = 2**31 - 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Dimensioned(_Part):
    """A quantity along dimensions of the contract; ``dimension`` is the short form of one."""

    @model_validator(mode="before")
    @classmethod
    def _of_short_form(cls, content: Any) -> Any:
        return long_form(content, "dimension")

    @model_serializer(mode="wrap")
    def _to_short_form(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return short_form(plain(self), "dimension")


class _Variable(_Dimensioned):
    name: Name
    long_name: Text = ""
    units: Units = "1"
    dimensions: tuple[str, ...] = ()
    range: tuple[float, float] | tuple[tuple[float, float], ...] | None = None


class Input(_Variable):
    """An input variable, of shape (sample, ...) with its dimensions behind the samples.

    ``feature = false`` marks a variable that the network does not see. An output may be relative to
    it (``relative_to``), and the host model passes it like any other input.
    """

    transform: InputTransform = "standardise"
    feature: bool = True


class Output(_Variable):
    """An output variable; the network predicts its transform.

    ``ln`` with ``relative_to = "v"`` predicts ln(output / v). ``sigmoid`` keeps the output in (0,
    1) and measures the training loss on the output itself. ``lower_bound`` and ``upper_bound`` clip
    the returned value. ``training_weight``, one number or one for each entry of the dimensions (the
    last one varying fastest), multiplies squared errors in the training loss.
    """

    transform: OutputTransform = "standardise"
    relative_to: str | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    training_weight: float | tuple[float, ...] = 1.0

    @model_serializer(mode="wrap")
    def _to_short_form(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = short_form(plain(self), "dimension")
        # The hashes of contracts without weights stay what they are.
        if self.training_weight == 1.0:
            del content["training_weight"]
        return content


class Parameter(_Dimensioned):
    """A quantity that is the same for all samples, such as the width of a size mode.

    Its values are those of all entries of its dimensions, the last one varying fastest.
    """

    name: Name
    units: Units = "1"
    dimensions: tuple[str, ...] = ()
    values: tuple[float, ...]
    long_name: Text = ""


#: Name of a function that the process of the contract registers.
FunctionName = Annotated[str, AfterValidator(processes.check_name)]


class Baseline(_Part):
    """Values of a classical scheme that the data set holds in addition to the labels.

    Attributes
    ----------
    variable
        The data variable with the values of the scheme, or several variables.
    gives
        The quantity of each variable, which `head` receives under this name (or a contract output).
    head
        Registered function that turns the quantities into the skill variables; default: that of
        ``[skill]``.
    timing_source
        Registered Fortran program that times the scheme.
    """

    name: Word
    variable: Word | Annotated[tuple[Word, ...], Field(min_length=1)]
    gives: Word | Annotated[tuple[Word, ...], Field(min_length=1)]
    head: FunctionName | None = None
    timing_source: FunctionName | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """The data variables."""
        return (self.variable,) if isinstance(self.variable, str) else self.variable

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantity of each of `variables`."""
        return (self.gives,) if isinstance(self.gives, str) else self.gives


class Skill(_Part):
    """The quantities by which an emulator is judged: the outputs, or the results of `head`."""

    variables: tuple[str, ...] = ()
    head: FunctionName | None = None


class Filter(_Part):
    """The usable rows of the data set: those whose flag has one of the given meanings."""

    variable: Word
    keep: tuple[str, ...] = Field(min_length=1)


class Split(_Part):
    """How rows are split into those for training, validation and test.

    Attributes
    ----------
    variable
        The data variable with the split, a CF flag.
    dimension, block
        In place of a variable: a sample dimension, whose entries are drawn in blocks of `block`
        consecutive ones, so that samples that resemble each other are in the same split.
    """

    variable: Word = "split"
    dimension: Word | None = None
    block: int = Field(1, ge=1, le=_LARGEST_INTEGER)

    @model_serializer(mode="wrap")
    def _plain(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        names = ("variable",) if self.dimension is None else ("dimension", "block")
        return {name: value for name, value in plain(self).items() if name in names}


@dataclass(frozen=True)
class Column:
    """One scalar column of the matrix of inputs or outputs.

    Attributes
    ----------
    variable, index, label
        Name of the variable, position among its columns, and the labels along its dimensions,
        separated by commas (None if it has no dimension).
    lower, upper
        Range in physical units; infinite if the contract has none.
    feature, is_output
        Whether the column is an input that the network sees; whether it is an output.
    """

    variable: str
    index: int
    label: str | None
    units: str
    transform: str
    lower: float
    upper: float
    feature: bool = True
    is_output: bool = False

    @property
    def name(self) -> str:
        """Name for tables and metadata, such as ``hygroscopicity[aitken]`` or ``flux[3, 0]``."""
        return self.variable if self.label is None else f"{self.variable}[{self.label}]"


class Contract(_Part):
    """Inputs and outputs of an emulator: names, units, order, ranges, transforms."""

    name: str
    title: Text = ""
    version: int = Field(1, ge=0, le=_LARGEST_INTEGER)
    #: Registered process with the heads and timing sources that the contract names.
    process: str | None = None
    sample_dimensions: tuple[Word, ...] = Field(("sample",), min_length=1)
    #: Data file of the package that is used by default.
    default_data: Word | None = None
    #: Name -> labels of the entries, or their number.
    dimensions: dict[str, tuple[str, ...] | StrictInt] = Field(default_factory=dict)
    input: tuple[Input, ...]
    output: tuple[Output, ...]
    parameter: tuple[Parameter, ...] = ()
    baseline: tuple[Baseline, ...] = ()
    skill: Skill = Skill()
    filter: Filter | None = None
    split: Split | None = None

    def __repr__(self) -> str:
        inputs = listed([variable.name for variable in self.input])
        outputs = listed([variable.name for variable in self.output])
        return brief(self, self.name, f"{inputs} -> {outputs}", f"judged by {self._judged}")

    __str__ = __repr__

    @property
    def _judged(self) -> str:
        return listed(list(self.skill_variables))

    @model_validator(mode="before")
    @classmethod
    def _of_short_form(cls, content: Any) -> Any:
        return long_form(content, "sample_dimension")

    @model_serializer(mode="wrap")
    def _to_short_form(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return short_form(plain(self), "sample_dimension")

    @model_validator(mode="after")
    def _check_process(self) -> Self:
        functions = (
            self.skill.head,
            *(f for b in self.baseline for f in (b.head, b.timing_source)),
        )
        named = next(filter(None, functions), None)
        if named is not None and self.process is None:
            raise ValueError(
                f"the key 'process' is missing: it says which registered process has '{named}'"
            )
        return self

    # ---------------------------------------------------------------- reading

    @classmethod
    def load(cls, name: PathLike) -> Self:
        """Read a contract, and check the functions that it names.

        Parameters
        ----------
        name
            A bundled name (``"activation"``), a contract of a registered process
            (``"process.contract"``), or the path of a TOML file: a path object, or text with a
            slash or ending in ``.toml``. Files in the working directory never hide a name.

        Raises
        ------
        ContractError
            There is no such contract, the file is not valid TOML, a key is unknown, parts
            contradict each other, or a function is not registered or needs a variable that the
            contract does not have.
        """
        is_file = not isinstance(name, str) or is_path(name)
        path = Path(name) if is_file else named_contract(str(name))
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise ContractError(f"cannot read the contract {path}: {reason}") from error
        contract = cls.from_toml(text, source=str(path))
        processes.check_functions(contract)
        return contract

    @classmethod
    def from_toml(cls, text: str, source: str = "contract") -> Self:
        """Build a contract from TOML text; `source` names the text in error messages."""
        try:
            content = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # also for numbers with very many digits
            raise ContractError(f"{source} is not valid TOML: {one_line(error)}") from error
        return cls.from_dict(content, source)

    @classmethod
    def from_dict(cls, content: dict[str, Any], source: str = "contract") -> Self:
        """Build a contract from plain data (the inverse of `to_dict`).

        Raises
        ------
        ContractError
            A key is unknown, a value is not valid, or parts contradict each other.
        """
        try:
            contract = cls.model_validate(content)
            # JSON can hold half of a surrogate pair, which cannot be written to a file.
            json.dumps(contract.to_dict(), ensure_ascii=False).encode()
        except ValidationError as error:
            raise ContractError(f"{source}: {explain(error, cls)}") from error
        except UnicodeEncodeError as error:
            raise ContractError(f"{source}: a text holds half of a surrogate pair") from error
        return contract

    def to_dict(self) -> dict[str, Any]:
        """Return the contract as plain data for JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def sha256(self) -> str:
        """Hash of the contract's meaning, independent of the layout of its file."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    # ------------------------------------------------------------ consistency

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_contract(self)
        return self

    # ------------------------------------------------------------------ views

    def labels(self, dimension: str) -> tuple[str, ...]:
        """Return the labels of a dimension; one without labels is numbered from 0."""
        entries = self.dimensions[dimension]
        return tuple(map(str, range(entries))) if isinstance(entries, int) else entries

    def shape(self, variable: _Variable | Parameter) -> tuple[int, ...]:
        """Return the shape of `variable` in one sample, () without dimensions."""
        return tuple(map(self.size, variable.dimensions))

    def size(self, dimension: str) -> int:
        """Return the number of entries of a dimension."""
        entries = self.dimensions[dimension]
        return entries if isinstance(entries, int) else len(entries)

    def _columns(self, variables: Sequence[Input] | Sequence[Output]) -> tuple[Column, ...]:
        columns = []
        for variable in variables:
            width = self.width(variable)
            places = itertools.product(*map(self.labels, variable.dimensions))
            for index, labels in enumerate(places):
                lower, upper = _range_at(variable, index, width)
                columns.append(
                    Column(
                        variable.name,
                        index,
                        ", ".join(labels) if labels else None,
                        variable.units,
                        variable.transform,
                        lower,
                        upper,
                        getattr(variable, "feature", True),
                        isinstance(variable, Output),
                    )
                )
        return tuple(columns)

    @cached_property
    def input_columns(self) -> tuple[Column, ...]:
        """Every scalar input in contract order, dimensions unrolled in place."""
        return self._columns(self.input)

    @cached_property
    def output_columns(self) -> tuple[Column, ...]:
        """Every scalar output in contract order, dimensions unrolled in place."""
        return self._columns(self.output)

    @cached_property
    def feature_indices(self) -> tuple[int, ...]:
        """Positions in `input_columns` of the columns that the network sees."""
        return tuple(i for i, column in enumerate(self.input_columns) if column.feature)

    @cached_property
    def reference_indices(self) -> tuple[int | None, ...]:
        """For each output column, the input column to which it is relative, or None."""
        position = {(c.variable, c.index): i for i, c in enumerate(self.input_columns)}
        relative = {v.name: v.relative_to for v in self.output}
        found: list[int | None] = []
        for column in self.output_columns:
            name = relative[column.variable]
            found.append(None if name is None else position[name, column.index])
        return tuple(found)

    @cached_property
    def output_bounds(self) -> tuple[tuple[float, float], ...]:
        """Bounds of each output column; infinite if there are none."""
        bounds = {
            v.name: (
                -math.inf if v.lower_bound is None else v.lower_bound,
                math.inf if v.upper_bound is None else v.upper_bound,
            )
            for v in self.output
        }
        return tuple(bounds[c.variable] for c in self.output_columns)

    def width(self, variable: _Variable | Parameter) -> int:
        """Return the number of columns of `variable`."""
        return math.prod(self.shape(variable))

    @cached_property
    def row_dimension(self) -> str:
        """Name of the one dimension of a table of samples."""
        return self.sample_dimensions[0] if len(self.sample_dimensions) == 1 else "sample"

    @cached_property
    def skill_variables(self) -> tuple[str, ...]:
        """Names of the quantities by which emulators are judged."""
        return self.skill.variables or tuple(v.name for v in self.output)

    @cached_property
    def skill_is_normalised(self) -> bool:
        """Whether overall errors are measured in standard deviations of each column.

        They are if several columns are judged, so that the units or the noise of one column do not
        dominate. If a head gives a single variable, its columns have the same meaning and errors
        are measured in physical units.
        """
        if self.skill.head is not None:
            return len(self.skill_variables) > 1
        return sum(self.width(v) for v in self.output if v.name in self.skill_variables) > 1

    @property
    def error_units(self) -> str:
        """Unit of overall errors; empty if a head gives the variables without one."""
        if self.skill_is_normalised:
            return "1"
        units = {v.units for v in self.output if v.name in self.skill_variables}
        return units.pop() if self.skill.head is None and len(units) == 1 else ""


def _range_at(variable: _Variable, index: int, length: int) -> tuple[float, float]:
    if variable.range is None:
        return (-math.inf, math.inf)
    if not variable.range:
        raise ValueError(f"the range of '{variable.name}' has no numbers; give [lowest, highest]")
    first = variable.range[0]
    if not isinstance(first, tuple):
        lower, upper = variable.range
        return (float(lower), float(upper))  # type: ignore[arg-type]
    if len(variable.range) != length:
        raise ValueError(f"'{variable.name}' has {length} columns and {len(variable.range)} ranges")
    lower, upper = variable.range[index]  # type: ignore[misc]
    return (float(lower), float(upper))
