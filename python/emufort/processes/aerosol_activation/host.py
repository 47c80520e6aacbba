"""Aerosol activation in host models: the scheme, its generated modules, CCPP, CIME and E3SM."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.contract import Contract
from emufort.processes.aerosol_activation.fortran import (
    CONTRACT_MODULE,
    contract_source,
    misfit,
    scheme_sources,
    template,
)
from emufort.processes.process import GlueFile, HostGlue
from emufort.toolchain.sources import coupling_folder

if TYPE_CHECKING:
    from emufort.export.bundle import Bundle

_BINDING = "emufort_aerosol_binding"
_STUB = {"stub/emufort_host.F90": "stub/emufort_host.F90"}
_FLAGS = {"emufort_flags.cmake": "common/emufort_flags.cmake"}
_ADAPT = {"adapt_physics": "common/adapt_physics"}
#: Host -> path in the glue -> file in the folder `hosts`.
_HOSTS: Mapping[str, Mapping[str, str]] = {
    "ccpp": {
        "emufort_activate.F90": "ccpp/emufort_activate.F90",
        "emufort_activate.meta": "ccpp/emufort_activate.meta",
        "emufort_activate_namelist.xml": "ccpp/emufort_activate_namelist.xml",
        **_FLAGS,
    },
    "cime": {
        "buildlib": "cime/buildlib",
        "Filepath": "cime/Filepath",
        "Filepath.stub": "cime/Filepath.stub",
        "xml/config_component.xml": "cime/xml/config_component.xml",
        "xml/config_files.xml": "cime/xml/config_files.xml",
        "xml/emufort.cmake": "cime/xml/emufort.cmake",
        "physics/emufort_cam.F90": "cam/emufort_cam.F90",
        "physics/emufort_cam_aerosol.F90": "cam/emufort_cam_aerosol.F90",
        **_ADAPT,
        **_STUB,
    },
    "e3sm": {"physics/emufort_eam.F90": "eam/emufort_eam.F90", **_ADAPT, **_FLAGS, **_STUB},
}
#: CCPP's tools sort the paths of sources.
_SORTING = ("ccpp",)
_PROGRAMS = ("buildlib", "adapt_physics")


def _hosts() -> Path:
    return coupling_folder() / "aerosol_activation" / "hosts"


def _sources(contract: Contract) -> list[Path]:
    return [path for path in scheme_sources("emufort_host") if path.stem != CONTRACT_MODULE]


def _c_sources(contract: Contract) -> list[Path]:
    return sorted((_hosts() / "c").iterdir())


def _generated(bundle: Bundle) -> dict[str, str]:
    contract = bundle.manifest.contract
    binding = template(
        _BINDING,
        name=bundle.name,
        module=bundle.module_name,
        hash=bundle.hash,
        contract_hash=contract.sha256,
    )
    return {
        f"{CONTRACT_MODULE}.F90": contract_source(contract),
        f"{_BINDING}.F90": binding,
    }


def _files_of(host: str) -> Callable[[Bundle], Mapping[str, GlueFile]]:
    def files(bundle: Bundle) -> dict[str, GlueFile]:
        return {
            name: GlueFile((_hosts() / path).read_text(encoding="utf-8"), name in _PROGRAMS)
            for name, path in _HOSTS[host].items()
        }

    return files


def _example(name: str) -> Callable[[Contract], Path]:
    return lambda contract: _hosts() / "plain" / name


#: Glue for host models that aerosol activation adds.
HOST_GLUE = HostGlue(
    fits=misfit,
    sources=_sources,
    c_sources=_c_sources,
    generated=_generated,
    example=_example("example_host.F90"),
    mpi_example=_example("mpi_host.F90"),
    target="host",
    hosts={host: _files_of(host) for host in _HOSTS},
    sorting_hosts=_SORTING,
)
