"""Glue between a bundle and a host model: sources and build files of one folder, ready to drop in.

write_host(bundle, "cime")
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from emufort.contract import Contract
from emufort.errors import EmufortError, UsageError
from emufort.escape import make_text
from emufort.export.bundle import Bundle
from emufort.export.contents import LICENSE
from emufort.export.fortran import MOST_SOURCE_PARAMETERS
from emufort.export.render import render
from emufort.files import scratch_folder
from emufort.toolchain.sources import coupling_folder, license_text

#: What `emufort export --host` can write.
HOSTS = ("plain", "ccpp", "cime")

_MARKER = "EMUFORT_HOST.txt"
_SCHEME = (
    "aerosol_activation/scheme/emufort_aerosol_head.F90",
    "aerosol_activation/scheme/emufort_aerosol_arg2000.F90",
    "aerosol_activation/scheme/emufort_aerosol_activation.F90",
    "aerosol_activation/scheme/emufort_activate_modal.F90",
    "aerosol_activation/hosts/face/emufort_host.F90",
)
_FILES: dict[str, tuple[str, ...]] = {
    "plain": (
        "Makefile",
        "CMakeLists.txt",
        "example_host.F90",
        "../../../mpi/emufort_broadcast.F90",
        "../../../mpi/mpi_host.F90",
    ),
    "ccpp": ("emufort_activate.F90", "emufort_activate.meta"),
    "cime": ("buildlib", "Filepath", "Filepath.stub", "../stub/emufort_host.F90"),
}
_INPUTS = (
    ("air_temperature", "K", 1),
    ("air_pressure", "Pa", 1),
    ("updraft_speed", "m s-1", 1),
    ("number_concentration", "m-3", 4),
    ("dry_median_radius", "m", 4),
    ("hygroscopicity", "1", 4),
)
_OUTPUT = ("max_supersaturation", "1")


@dataclass(frozen=True)
class HostGlue:
    """What was written for a host.

    Attributes
    ----------
    host
        One of `HOSTS`.
    path
        The folder.
    files
        Its files, relative to it.
    """

    host: str
    path: Path
    files: tuple[str, ...]


def write_host(
    bundle: Bundle | str | os.PathLike[str],
    host: str,
    out: str | os.PathLike[str] | None = None,
    trust_sources: bool = False,
) -> HostGlue:
    """Write the glue for a host model; a folder that an earlier call wrote is replaced as a whole.

    Parameters
    ----------
    bundle
        Of the contract of aerosol activation with the maximum supersaturation as output.
    host
        ``plain`` (Makefile and CMake), ``ccpp`` or ``cime``.
    out
        The folder, default ``host/<host>`` beside the bundle.
    trust_sources
        Take the Fortran sources of the bundle even if this version of emufort writes others from
        its weights.bin: only for bundles that you trust.

    Raises
    ------
    UsageError
        There is no such host.
    EmufortError
        The bundle is of another process, a file of it was changed, its sources are not what this
        version writes, or `out` holds something else or cannot be written.
    """
    if host not in HOSTS:
        raise UsageError(f"there is no glue for the host '{host}'; choose of {', '.join(HOSTS)}")
    # opened again even if it is a Bundle: its files may have changed since
    opened = Bundle.open(bundle)
    foreign = [] if trust_sources else opened.foreign_sources()
    if foreign:
        raise EmufortError(
            f"this version of emufort writes another {', '.join(foreign)} from the weights.bin of "
            f"{opened.path}; export the bundle again, or give --trust-sources if you trust who "
            "wrote it"
        )
    lower, upper = _range(opened)
    if opened.loads_weights:
        raise EmufortError(
            f"the network of '{opened.name}' has more than {MOST_SOURCE_PARAMETERS:,} weights, "
            f"which the glue for the host '{host}' cannot hold as source text; export a smaller "
            "network, or load weights.bin as docs/coupling.md says"
        )
    folder = opened.path.parent / "host" / host if out is None else Path(out)
    folder = folder.resolve()  # what a symbolic link leads to
    _refuse_foreign(folder)
    contents = _contents(opened, host, lower, upper)
    try:
        with scratch_folder(folder.parent) as scratch:
            building = scratch / folder.name
            for name, (text, executable) in contents.items():
                path = building / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                if executable:
                    path.chmod(path.stat().st_mode | 0o111 & ~_umask())
            if folder.exists():
                shutil.rmtree(folder)
            building.rename(folder)
    except OSError as error:
        raise EmufortError(
            f"cannot write {folder}: {error.strerror or error}; free some space or choose another "
            "folder"
        ) from error
    return HostGlue(host, folder, tuple(sorted(contents)))


def _contents(
    bundle: Bundle, host: str, lower: list[str], upper: list[str]
) -> dict[str, tuple[str, bool]]:
    """Return text and executability of every file, by its name in the folder."""
    sources = coupling_folder()
    module = bundle.module_name
    found: dict[str, tuple[str, bool]] = {}

    def add(name: str, text: str, executable: bool = False) -> None:
        word = make_text(module) if name == "Makefile" else module
        found[name] = (text.replace("@MODULE@", word), executable)

    for path in (bundle.runtime_source, bundle.module_source):
        found[f"src/{path.name}"] = (bundle.read(path.name).decode(), False)
    found[LICENSE] = (license_text(), False)
    for name in _SCHEME:
        add(f"src/{Path(name).name}", (sources / name).read_text())
    binding = render(
        "aerosol_binding.F90.j2",
        name=bundle.name,
        module=module,
        hash=bundle.hash,
        lower=lower,
        upper=upper,
    )
    add("src/emufort_aerosol_binding.F90", binding)
    for name in _FILES[host]:
        text = (sources / "aerosol_activation" / "hosts" / host / name).read_text()
        add(re.sub(r"^(\.\./)*", "", name), text, executable=name == "buildlib")
    add(
        _MARKER,
        f"Glue for the host '{host}', written by 'emufort export --host {host}'; replaced by the "
        f"next such call.\nbundle {bundle.hash}\n",
    )
    return found


def _range(bundle: Bundle) -> tuple[list[str], list[str]]:
    """Return the limits of the inputs as Fortran constants; refuse another contract."""
    contract: Contract = bundle.manifest.contract
    taken = [(v.name, v.units, len(_labels(contract, v.dimension))) for v in contract.input]
    given = [(v.name, v.units) for v in contract.output]
    if taken != list(_INPUTS) or given != [_OUTPUT]:
        raise EmufortError(
            f"the activation scheme of the host cannot call the emulator '{bundle.name}': it needs "
            f"the inputs {', '.join(name for name, _, _ in _INPUTS)} and the output {_OUTPUT[0]}; "
            "export a network of the contract 'activation'"
        )
    columns = contract.input_columns
    return (
        [_real64(float(column.lower)) for column in columns],
        [_real64(float(column.upper)) for column in columns],
    )


def _labels(contract: Contract, dimension: str | None) -> tuple[str, ...]:
    return ("",) if dimension is None else tuple(contract.dimensions[dimension])


def _real64(value: float) -> str:
    mantissa, _, exponent = repr(value).partition("e")
    return f"{mantissa}d{int(exponent or 0)}"


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not (folder / _MARKER).is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return
        raise EmufortError(
            f"{folder} was not written by 'emufort export --host'; move it away or choose another "
            "folder"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
