"""Draft a contract and a configuration from data, with comments for the user to complete them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w
from numpy.typing import NDArray

from emufort.config import DEFAULTS
from emufort.contract import Contract
from emufort.contract_rules import check_name, check_text, check_units
from emufort.dataset.opening import open_data
from emufort.dataset.sources import data_files
from emufort.dataset.splits import SPLITS
from emufort.errors import DataError, UsageError, did_you_mean
from emufort.escape import comment
from emufort.files import make_directory, write_text

if TYPE_CHECKING:
    import xarray as xr

#: Dimensions that count samples wherever they appear, in lower case.
_OF_SAMPLES = frozenset(
    {"sample", "time", "lat", "latitude", "lon", "longitude", "ncol", "ncells", "cell", "x", "y"}
)
#: A positive quantity whose largest value exceeds its smallest by this factor is drafted with the
#: transform ln.
_WIDE_RANGE = 100.0
#: Values of a variable that are read for its range.
_MOST_VALUES = 1_000_000


@dataclass(frozen=True)
class _Found:
    """A variable of the data that can be an input or an output."""

    name: str
    units: str
    long_name: str
    dimensions: tuple[str, ...]
    lowest: float
    highest: float


def write_draft(data: Path, outputs: Sequence[str], out: Path) -> tuple[Path, Path]:
    """Write ``contract.toml`` and ``run.toml`` for data.

    Parameters
    ----------
    data
        netCDF file or Zarr store, or a pattern of several; the first one is read.
    outputs
        Variables that the emulator should predict; all others that fit become inputs.
    out
        Folder of the files.

    Raises
    ------
    DataError
        There is no file, or it has no variable that can be an input.
    UsageError
        An output is not a variable of the data, or a file exists already.
    """
    files = data_files(data)
    if not files:
        raise DataError(
            f"there is no data file {data}; give the path of a netCDF file or a Zarr store"
        )
    paths = (out / "contract.toml", out / "run.toml")
    for path in paths:
        if path.exists():
            raise UsageError(f"{path} exists; remove it, or choose another folder with --out")
    with open_data(files[0]) as raw:
        text = draft_contract(raw, outputs, data)
    make_directory(out)
    write_text(paths[0], text)
    write_text(paths[1], _configuration(data))
    return paths


def draft_contract(raw: xr.Dataset, outputs: Sequence[str], source: Path) -> str:
    """Return the text of a contract; arguments and errors are those of `write_draft`."""
    numeric = [
        str(name)
        for name, variable in raw.data_vars.items()
        if variable.dtype.kind in "iuf" and "flag_values" not in variable.attrs
    ]
    for name in outputs:
        if name not in numeric:
            raise UsageError(
                f"the output '{name}' is no variable with numbers of {source}"
                f"{did_you_mean(name, numeric)}; it has {', '.join(numeric) or 'none'}"
            )
    samples = _sample_dimensions(raw, numeric)
    found, left_out = [], []
    for name in numeric:
        reason = _unfit(raw[name], name, samples)
        if reason is None:
            found.append(_describe(raw[name], name, samples))
        elif name in outputs:
            raise UsageError(f"'{name}' of {source} cannot be an output: {reason}")
        else:
            left_out.append(f"{name}: {reason}")
    if all(one.name in outputs for one in found):
        raise DataError(f"{source} has no variable that can be an input; see docs/contract.md")
    used = dict.fromkeys(name for one in found for name in one.dimensions)
    lines = [
        "# Drafted from the data; complete it as the comments say. docs/contract.md has all keys.",
        'name = "process"   # names the Fortran module process_emulator',
        f"sample_dimensions = {_toml(list(samples))}",
        "",
        "[dimensions]",
        *(f"{_key(name)} = {_toml(_entries(raw, name))}" for name in used),
        *_section("input", [one for one in found if one.name not in outputs]),
        *_section("output", [one for name in outputs for one in found if one.name == name]),
        *_split(raw, samples),
    ]
    if left_out:
        lines += ["", "# Left out:", *(f"# {comment(text)}" for text in left_out)]
    text = "\n".join(lines) + "\n"
    Contract.from_toml(text, "the drafted contract")
    return text


def _sample_dimensions(raw: xr.Dataset, names: Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions that all variables have or that usually count samples."""
    every = [set(map(str, raw[name].dims)) for name in names if raw[name].ndim]
    common = set.intersection(*every) if every else set()
    found = [str(d) for d in raw.sizes if str(d) in common or str(d).lower() in _OF_SAMPLES]
    return tuple(dict.fromkeys(found)) or tuple(map(str, list(raw.sizes)[:1]))


def _unfit(variable: xr.DataArray, name: str, samples: Sequence[str]) -> str | None:
    """Return why a variable cannot be part of a contract, or None."""
    if not set(samples) & set(map(str, variable.dims)):
        return "it has no sample dimension"
    try:
        check_name(name)
        check_units(_attribute(variable, "units"))
        check_text(_attribute(variable, "long_name"))
    except ValueError as error:
        return str(error)
    values = _values(variable)
    return None if values.size else "it has no value"


def _attribute(variable: xr.DataArray, name: str) -> str:
    return str(variable.attrs.get(name, "")).strip()


def _values(variable: xr.DataArray) -> NDArray[np.float64]:
    """Return the first values of a variable that are numbers."""
    first = str(variable.dims[0])
    rows = max(1, _MOST_VALUES * variable.sizes[first] // max(variable.size, 1))
    values = np.asarray(variable.isel({first: slice(rows)}).values, dtype=np.float64)
    return values[np.isfinite(values)]


def _describe(variable: xr.DataArray, name: str, samples: Sequence[str]) -> _Found:
    values = _values(variable)
    return _Found(
        name,
        _attribute(variable, "units") or "1",
        _attribute(variable, "long_name"),
        tuple(str(d) for d in variable.dims if d not in samples),
        float(values.min()),
        float(values.max()),
    )


def _entries(raw: xr.Dataset, name: str) -> list[str] | int:
    """Return the labels of a dimension if they are texts, else its size."""
    if name in raw.coords and raw[name].dtype.kind in "OUS":
        return [v.decode() if isinstance(v, bytes) else str(v) for v in raw[name].values]
    return int(raw.sizes[name])


def _section(kind: str, variables: Sequence[_Found]) -> Iterator[str]:
    for one in variables:
        yield from ("", f"[[{kind}]]", f"name = {_toml(one.name)}")
        if one.long_name:
            yield f"long_name = {_toml(one.long_name)}"
        yield f"units = {_toml(one.units)}"
        if one.dimensions:
            yield f"dimensions = {_toml(list(one.dimensions))}"
        if 0.0 < _WIDE_RANGE * one.lowest < one.highest:
            yield 'transform = "ln"   # because the values span several orders of magnitude'
        if kind == "input":
            yield "# The range of these data. Choose physical limits, to which inputs are clipped:"
            yield f"# range = [{one.lowest!r}, {one.highest!r}]"


def _split(raw: xr.Dataset, samples: Sequence[str]) -> Iterator[str]:
    flags = raw["split"].attrs if "split" in raw.variables else {}
    if set(SPLITS) <= set(str(flags.get("flag_meanings", "")).split()):
        yield from ("", "[split]   # the variable 'split' of the data")
        return
    yield from (
        "",
        "# Without a section [split] the samples are split at random. For samples that resemble",
        "# their neighbours, split them by blocks:",
        "# [split]",
        f"# dimension = {comment(_toml(samples[0]))}",
        "# block = 1",
    )


def _configuration(data: Path) -> str:
    return "\n".join(
        [
            "# emufort run run.toml --out DIR",
            f"data = {_toml(str(data.absolute()))}",
            'contract = "./contract.toml"',
            "",
            "[search]",
            f"# trials = {DEFAULTS.search.trials}   # candidates of step 1",
            "",
            "[retrain]",
            f"# seeds = {DEFAULTS.retrain.seeds}   # trainings of each candidate of step 2",
            "",
        ]
    )


def _toml(value: Any) -> str:
    """Return a value in TOML on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def _key(name: str) -> str:
    return tomli_w.dumps({name: 0}).removesuffix(" = 0\n")
