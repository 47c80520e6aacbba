"""A small process, and seeded ways to spoil its contract, its data and its configuration."""

from __future__ import annotations

import copy
import datetime
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
import xarray as xr

CONTRACT = """
name = "pond"
title = "A pond with two layers (synthetic)"
version = 3
[dimensions]
layer = ["top", "bottom"]
[[input]]
name = "wind_speed"
long_name = "speed of the wind"
units = "m s-1"
transform = "ln"
range = [0.1, 30.0]
[[input]]
name = "humidity"
transform = "logit"
range = [0.05, 0.95]
[[input]]
name = "temperature"
units = "K"
dimension = "layer"
range = [[270.0, 310.0], [270.0, 300.0]]
[[input]]
name = "guess"
units = "kg m-2 s-1"
transform = "ln"
feature = false
[[parameter]]
name = "albedo"
dimension = "layer"
values = [0.1, 0.2]
[[output]]
name = "evaporation"
units = "kg m-2 s-1"
transform = "ln"
relative_to = "guess"
lower_bound = 0.0
upper_bound = 10.0
[skill]
variables = ["evaporation"]
[[baseline]]
name = "Dalton"
variable = "guess"
gives = "evaporation"
[filter]
variable = "status"
keep = ["good"]
[split]
variable = "part"
"""

CONFIG = """
contract = "pond.toml"
data = "pond.nc"
workers = 1
seed = 3
[search]
trials = 2
batch = 2
subset = 32
subset_by = "random"
validation = 16
sampler = "random"
rungs = [1, 2]
rung_rows = [16, 32]
eta = 2
halving = "batch"
groups = ["activation"]
schedule = "constant"
patience = 3
[search.space]
family = "layers"
depth = [1, 1]
width = [4, 8]
activation = ["relu", "tanh"]
learning_rate = [1e-3, 3e-2]
batch_size = [16, 32]
weight_decay = [0.0]
[retrain]
top = 1
seeds = 1
steps = 30
batch_size = 16
learning_rate = [3e-3, 1e-2]
[timing]
ncol = [1, 16]
repeats = 1
backend = "fortran"
compiler = "gfortran"
flags = "-O0"
baseline_flags = "-O0"
[select]
rule = "knee"
ncol = 16
[export]
golden = 4
[verify]
rows = 32
tolerance = 1e-4
"""


def dataset(n: int = 120) -> xr.Dataset:
    """Return the data of the process."""
    rng = np.random.default_rng(1)
    wind = np.exp(rng.uniform(np.log(0.2), np.log(29.0), n))
    humidity = rng.uniform(0.1, 0.9, n)
    temperature = rng.uniform(275.0, 299.0, (n, 2))
    guess = 1e-6 * (1 + wind) * (1 - humidity)
    evaporation = guess * np.exp(0.02 * (temperature[:, 0] - 285.0))

    def flag(values: Any, meanings: str) -> tuple[str, Any, dict[str, Any]]:
        numbers = np.arange(len(meanings.split()), dtype="i1")
        return "sample", values.astype("i1"), {"flag_values": numbers, "flag_meanings": meanings}

    return xr.Dataset(
        {
            "wind_speed": ("sample", wind, {"units": "m s-1"}),
            "humidity": ("sample", humidity, {"units": "1"}),
            "temperature": (("sample", "layer"), temperature, {"units": "K"}),
            "guess": ("sample", guess, {"units": "kg m-2 s-1"}),
            "evaporation": ("sample", evaporation, {"units": "kg m-2 s-1"}),
            "albedo": ("layer", [0.1, 0.2], {"units": "1"}),
            "status": flag(np.arange(n) % 10 == 9, "good bad"),
            "part": flag(np.arange(n) % 6 // 4 + np.arange(n) % 6 // 5, "train validation test"),
        },
        coords={"layer": ["top", "bottom"]},
    )


def write_case(folder: Path) -> None:
    """Write pond.toml, pond.nc and run.toml, with which a run ends well."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pond.toml").write_text(CONTRACT)
    (folder / "run.toml").write_text(CONFIG)
    dataset().to_netcdf(folder / "pond.nc")


# ---------------------------------------------------------------------- TOML files

#: Values that a slip of the pen, a script or malice puts into a TOML file.
VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 16, 2**31, 10**30, 0.5, -0.0, 1e30, 1e300, 5e-324, math.nan, math.inf),
    *(
        -math.inf,
        True,
        False,
        "",
        " ",
        "a",
        "top",
        "none",
        "ln",
        "évaporation",
        "x" * 200,
        "n" * 64,
    ),
    *("a\tb", "a\nb", "a b", "a/b", "../x", "\x7f", "{}", "%s", "K\\", '"', "emufort_x", "ncol"),
    *("wind_speed", "WIND_SPEED", "evaporation", "module:function", "os:system", "best", "torch"),
    *([], [1], [1, 2], [2, 1], [0.1, math.inf], [math.nan, 1.0], [1e39, 1e40], ["a"], ["a", "a"]),
    *(
        [[1.0, 2.0]],
        [[0.0, 1.0], [0.0, 1.0]],
        {},
        {"a": 1},
        {"name": "x"},
        datetime.date(2000, 1, 1),
    ),
)


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in nested tables and lists."""
    found = [path] if path else []
    inner: Any = ()
    if isinstance(content, dict | list):
        inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        found += _places(value, (*path, key))
    return found


def spoil_table(text: str, rng: np.random.Generator) -> str:
    """Change one or two things of a TOML file; every tenth time, a character of its text."""
    if rng.random() < 0.1:
        place = int(rng.integers(len(text)))
        return text[:place] + chr(int(rng.integers(1, 300))) + text[place + 1 :]
    content = tomllib.loads(text)
    for _ in range(int(rng.integers(1, 3))):
        places = _places(content)
        *path, last = places[int(rng.integers(len(places)))]
        parent: Any = content
        for key in path:
            parent = parent[key]
        kind = rng.choice(["value", "value", "remove", "rename", "twice", "case", "scale"])
        value = parent[last]
        if kind == "remove":
            del parent[last]
        elif kind == "rename" and isinstance(parent, dict):
            parent[f"{last}s"] = parent.pop(last)
        elif kind == "twice" and isinstance(parent, list):
            parent.append(copy.deepcopy(value))
        elif kind == "case" and isinstance(value, str):
            parent[last] = value.upper()
        elif kind == "scale" and isinstance(value, int | float) and not isinstance(value, bool):
            parent[last] = value * float(rng.choice([-1.0, 0.5, 2.0, 1e6]))
        else:
            # Mostly of the same type, as others are refused at once.
            same = [v for v in VALUES if type(v) is type(value)] or list(VALUES)
            choices = same if rng.random() < 0.8 else list(VALUES)
            parent[last] = copy.deepcopy(choices[int(rng.integers(len(choices)))])
    return tomli_w.dumps(content)


# -------------------------------------------------------------------- netCDF files

_FILL = 9.969209968386869e36
#: Attributes that are wrong, or that change what the values mean.
_ATTRIBUTES: tuple[dict[str, Any], ...] = (
    *({"units": u} for u in ("", "K", "furlong", 5, "m s-1\n")),
    *({"scale_factor": v} for v in ("two", 2.0, np.nan, np.array([1.0, 2.0]), 0.0)),
    *({"add_offset": v} for v in ("two", 1.0, np.inf)),
    *({"missing_value": v} for v in ("none", -999.0, np.array([1.0, 2.0]))),
    *({"valid_range": v} for v in ("all", np.array([0.0, 1.0]), np.array([1.0]), [5.0, 4.0])),
    *({"valid_min": v} for v in ("zero", 0.0, 1e9, np.nan)),
    *({"flag_values": v} for v in ("0b 1b", np.array([0.0, np.nan]), np.array([0, 0]), 1)),
    *({"flag_meanings": v} for v in ("good", "good good", "", 7, "train validation test more")),
    {"_Unsigned": "true"},
    {"coordinates": "nothing"},
)
_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e39, 1e-42, _FILL, -32767.0, 3.0)
_TYPES = ("f4", "i2", "i4", "i8", "u1", "U3", "bool", "M8[ns]", "complex128")


def _spoil_variable(raw: xr.Dataset, name: str, rng: np.random.Generator) -> xr.Dataset:
    found = raw[name]
    kind = rng.choice(
        ["drop", "rename", "value", "column", "type", "dims", *3 * ["attribute"], "no attrs"]
    )
    if kind == "drop":
        return raw.drop_vars(name)
    if kind == "rename":
        return raw.rename({name: name.upper()})
    if kind in ("value", "column"):
        values = np.array(found.values, dtype=float)
        number = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
        values[... if kind == "column" else int(rng.integers(len(values)))] = number
        return raw.assign({name: (found.dims, values, found.attrs)})
    if kind == "type":
        kind = str(rng.choice(_TYPES))
        with np.errstate(all="ignore"):
            return raw.assign({name: (found.dims, found.values.astype(kind), found.attrs)})
    if kind == "dims":
        return raw.assign({name: found.expand_dims(extra=int(rng.integers(1, 3)))})
    attributes = _ATTRIBUTES[int(rng.integers(len(_ATTRIBUTES)))] if kind == "attribute" else {}
    kept = {} if kind == "no attrs" else found.attrs
    return raw.assign({name: (found.dims, found.values, {**kept, **attributes})})


def _spoil_shape(raw: xr.Dataset, rng: np.random.Generator) -> xr.Dataset:
    changes: tuple[Callable[[], xr.Dataset], ...] = (
        *(lambda n=n: raw.isel(sample=slice(0, n)) for n in (0, 1, 2, 5, 40, 60)),
        lambda: raw.rename(sample="time"),
        lambda: raw.isel(layer=[0]),
        lambda: raw.isel(layer=[1, 0]),
        lambda: raw.drop_vars("layer"),
        lambda: raw.assign_coords(layer=["top", "top"]),
        lambda: raw.assign_coords(layer=[1.0, 2.0]),
        lambda: raw.transpose("layer", "sample"),
        lambda: raw.assign(part=raw.part * 0),
        lambda: raw.assign(status=raw.status * 0 + 1),
    )
    return changes[int(rng.integers(len(changes)))]()


def spoil_file(path: Path, rng: np.random.Generator) -> None:
    """Write `path`: the data with something wrong, or a good file with wrong bytes."""
    if rng.random() < 0.35:
        dataset().to_netcdf(path)
        content = bytearray(path.read_bytes())
        if rng.random() < 0.3:
            content = content[: int(rng.integers(len(content)))]
        else:
            for _ in range(int(rng.integers(1, 4))):
                content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        return
    raw = dataset()
    if rng.random() < 0.25:
        raw = _spoil_shape(raw, rng)
    else:
        raw = _spoil_variable(raw, str(rng.choice(sorted(raw.data_vars))), rng)
    encoding: dict[str, Any] = {}
    for name in raw.data_vars:
        for key in ("scale_factor", "add_offset", "missing_value", "_Unsigned", "coordinates"):
            raw[name].encoding.pop(key, None)
        if raw[name].dtype.kind == "f" and rng.random() < 0.3:
            encoding[str(name)] = {"_FillValue": None}
    try:
        raw.to_netcdf(path, encoding=encoding)
    except (TypeError, ValueError, OverflowError, AttributeError):
        # What cannot be written is no case; another one takes its place.
        path.unlink(missing_ok=True)
        spoil_file(path, rng)
