"""Presets of aerosol activation: the aerosol modes and the physical constants of one host model.

A preset is a TOML file. It determines the contract of an emulator (`Preset.contract`) and its
labels, so that the emulator is trained with the modes and constants of its host. docs/presets.md
describes the file.
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from emufort.contract import Contract, Name, Text, Word
from emufort.contract_files import is_path
from emufort.contract_rules import check_name
from emufort.errors import ContractError, UsageError, did_you_mean
from emufort.export.render import render
from emufort.messages import explain
from emufort.processes.aerosol_activation.constants import (
    CONSTANTS,
    PhysicalConstants,
)
from emufort.processes.aerosol_activation.ghosh2025 import FITTED_WIDTHS
from emufort.processes.presets import read_preset_file

#: Folder with the presets that come with emufort.
PRESETS = Path(__file__).parent / "presets"
_TEMPLATES = Path(__file__).parent / "templates"

#: Longest name of a preset: a Fortran module is named after its contract.
_LONGEST_NAME = 40


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Part):
    """Range of an input, written ``[lower, upper]`` in the file."""

    lower: float
    upper: float

    @model_validator(mode="before")
    @classmethod
    def _of_pair(cls, value: object) -> object:
        if isinstance(value, list) and len(value) == 2:
            return {"lower": value[0], "upper": value[1]}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 < self.lower < self.upper:
            raise ValueError("a range must be [lower, upper] with 0 < lower < upper")
        return self


def _within(lowest: float, highest: float, units: str) -> AfterValidator:
    """Return a check that a range lies between two values; it finds values in other units."""

    def check(found: Range) -> Range:
        if not lowest <= found.lower < found.upper <= highest:
            raise ValueError(
                f"[{found.lower:g}, {found.upper:g}] is not between {lowest:g} and {highest:g} "
                f"{units}"
            )
        return found

    return AfterValidator(check)


def _between(lowest: float, highest: float) -> Any:
    return Field(ge=lowest, le=highest)


class Constants(_Part):
    """Physical constants of the host [SI]; the names are those of the contract parameters.

    Attributes
    ----------
    gravity
        Acceleration of gravity [m s-2].
    gas_constant_air, gas_constant_vapour
        Gas constants of dry air and of water vapour [J kg-1 K-1].
    heat_capacity_air
        Heat capacity of dry air at constant pressure [J kg-1 K-1].
    latent_heat
        Latent heat of condensation of water, constant [J kg-1].
    density_water
        Density of liquid water [kg m-3].
    """

    gravity: Annotated[float, _between(1.0, 30.0)]
    gas_constant_air: Annotated[float, _between(100.0, 1000.0)]
    gas_constant_vapour: Annotated[float, _between(200.0, 1000.0)]
    heat_capacity_air: Annotated[float, _between(500.0, 2000.0)]
    latent_heat: Annotated[float, _between(1.5e6, 3.5e6)]
    density_water: Annotated[float, _between(500.0, 2000.0)] = 1000.0


class Mode(_Part):
    """One lognormal aerosol mode.

    Attributes
    ----------
    sigma
        Geometric standard deviation of the number size distribution [1].
    number
        Range of the number concentration [cm-3]; samples are uniform in its logarithm.
    diameter
        Range of the dry number-median diameter [um]; samples are uniform in its logarithm.
    hygroscopicity
        Range of the hygroscopicity parameter kappa [1].
    hygroscopicity_distribution
        Whether samples of kappa are uniform in kappa or in its logarithm.
    """

    sigma: Annotated[float, _between(1.01, 5.0)]
    number: Annotated[Range, _within(1e-6, 1e7, "cm-3")]
    diameter: Annotated[Range, _within(1e-3, 100.0, "um")]
    hygroscopicity: Annotated[Range, _within(1e-4, 2.0, "(kappa)")]
    hygroscopicity_distribution: Literal["uniform", "log-uniform"] = "uniform"


class Parcel(_Part):
    """Choices of the parcel model that makes the labels.

    Attributes
    ----------
    initial_supersaturation
        Supersaturation over water at the start of the ascent, below 0 [1].
    accommodation_coefficient
        Mass accommodation coefficient of water [1].
    """

    initial_supersaturation: Annotated[float, Field(gt=-0.5, lt=0.0)] = -0.02
    accommodation_coefficient: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


class Preset(_Part):
    """The aerosol scheme of a host model, for which an emulator is trained.

    Attributes
    ----------
    process
        ``"aerosol_activation"``; the key by which emufort finds the process of a file.
    name
        Name of the preset, at most 40 characters; the contract is called ``activation_<name>``.
    title
        What the preset is.
    serves
        Models, versions and configurations that the emulator serves.
    glue
        Hosts for which a run exports glue, as ``emufort export --host`` names them.
    accumulation
        Name of the accumulation mode, whose width determines the constants of Ghosh et al. (2025).
        Without a mode of this name, or if its width is not between 1.4 and 2.1, the contract has no
        baseline of that scheme.
    air_temperature
        Range of the air temperature [K].
    air_pressure
        Range of the air pressure [hPa].
    updraft_speed
        Range of the updraft speed [m s-1]; samples are uniform in its logarithm.
    constants
        Physical constants of the host.
    parcel
        Choices of the parcel model.
    modes
        Name -> mode, in the order of the host.
    """

    process: Literal["aerosol_activation"]
    name: Annotated[str, StringConstraints(max_length=_LONGEST_NAME), AfterValidator(check_name)]
    title: Text = ""
    serves: tuple[Text, ...] = ()
    glue: tuple[Word, ...] = ("plain",)
    accumulation: Name = "accumulation"
    air_temperature: Annotated[Range, _within(180.0, 350.0, "K")] = Range(lower=248.0, upper=310.0)
    air_pressure: Annotated[Range, _within(10.0, 1200.0, "hPa")] = Range(lower=500.0, upper=1050.0)
    updraft_speed: Annotated[Range, _within(1e-4, 100.0, "m s-1")] = Range(lower=0.01, upper=10.0)
    constants: Constants
    parcel: Parcel = Parcel()
    modes: Annotated[dict[Name, Mode], Field(min_length=1, max_length=16)]

    @property
    def accumulation_width(self) -> float | None:
        """Width of the accumulation mode for Ghosh et al. (2025); None if they fitted none such."""
        mode = self.modes.get(self.accumulation)
        if mode is None or not FITTED_WIDTHS[0] <= mode.sigma <= FITTED_WIDTHS[1]:
            return None
        return mode.sigma

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "accumulation" in self.model_fields_set and self.accumulation not in self.modes:
            raise ValueError(
                f"accumulation = '{self.accumulation}' is none of the modes {', '.join(self.modes)}"
            )
        return self

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Read a preset.

        Parameters
        ----------
        name
            Name of a preset that comes with emufort, or the path of a TOML file: a path object, or
            text with a slash or ending in ``.toml``.

        Raises
        ------
        UsageError
            There is no such preset, or the file is not valid; the message names the key.
        """
        if isinstance(name, str) and not is_path(name):
            known = names()
            if name not in known:
                raise UsageError(
                    f"there is no preset '{name}'{did_you_mean(name, known)}; 'emufort presets' "
                    "lists them, and a preset of your own is a TOML file given by its path"
                )
            path = PRESETS / f"{name}.toml"
        else:
            path = Path(name)
        content = read_preset_file(path)
        try:
            preset = cls.model_validate(content)
            preset.contract()
        except ValidationError as error:
            raise UsageError(f"{path}: {explain(error, cls)}") from error
        except ContractError as error:
            raise UsageError(f"{path}: {error}") from error
        return preset

    def physical_constants(self) -> PhysicalConstants:
        """Return the constants of the host and the choices of the parcel model."""
        return PhysicalConstants(**self.constants.model_dump(), **self.parcel.model_dump())

    def contract(self) -> Contract:
        """Return the contract of an emulator of the maximum supersaturation for this host."""
        return Contract.from_toml(self.contract_text(), f"the contract of the preset '{self.name}'")

    def contract_text(self) -> str:
        """Return the same contract as TOML."""
        values = asdict(self.physical_constants())
        described = [
            {"name": name, "long_name": long_name, "units": units, "value": values[name]}
            for name, (long_name, units) in CONSTANTS.items()
        ]
        return render(
            "contract.toml.j2",
            folder=_TEMPLATES,
            preset=self,
            constants=described,
            pascals=lambda r: _pair(r, "1e2"),
            per_cubic_metre=lambda r: _pair(r, "1e6"),
            radius=lambda r: _pair(r, "5e-7"),
        )


def _pair(values: Range, factor: str) -> str:
    """Return both ends of a range times a factor, in decimal arithmetic, as in the file."""
    ends = (Decimal(repr(end)) * Decimal(factor) for end in (values.lower, values.upper))
    return ", ".join(repr(float(end)) for end in ends)


def names() -> list[str]:
    """Return the names of the presets that come with emufort."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))
