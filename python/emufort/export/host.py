"""Glue between a bundle and a host model: one folder with sources and build files.

write_host(bundle, "cime")
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emufort.contract import Contract
from emufort.errors import EmufortError, UsageError
from emufort.export.bundle import Bundle
from emufort.export.contents import CMAKE, CPU_LEVEL, LICENSE, source_files
from emufort.export.host_plain import SchemeSource, plain_files
from emufort.export.mom_ann import check_mom_ann_contract, mom_ann_file
from emufort.files import scratch_folder
from emufort.processes import registry as processes
from emufort.processes.process import GlueFile, HostGlue
from emufort.toolchain.flags import fill_flags
from emufort.toolchain.sources import dependencies, in_order, license_text

#: Hosts whose glue works for every process. That of MOM6 is a netCDF file, see `mom_ann`.
PLAIN, MOM6 = "plain", "mom6"

_MARKER = "EMUFORT_HOST.txt"
#: Names of sources that every build system and shell accepts without quoting.
_SOURCE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\.[A-Za-z][A-Za-z0-9]*")
_FORTRAN_SUFFIXES = (".F90", ".f90")
#: Folder of numbered sources. It sorts before the names of files that use them.
_NUMBERED = "dependencies"


@dataclass(frozen=True)
class WrittenGlue:
    """The glue that was written for a host.

    Attributes
    ----------
    host
        Name of the host.
    path
        The folder.
    files
        Files, relative to the folder.
    """

    host: str
    path: Path
    files: tuple[str, ...]


def write_host(
    bundle: Bundle | str | os.PathLike[str],
    host: str,
    out: str | os.PathLike[str] | None = None,
    trust_sources: bool = False,
) -> WrittenGlue:
    """Write the glue for a host model; replaces a folder that an earlier call wrote.

    Parameters
    ----------
    bundle
        A bundle, or the path of one.
    host
        ``plain`` (Makefile and CMake), ``mom6`` (a netCDF file for its MOM_ANN), or another host
        that the process of the contract offers.
    out
        The folder, default ``host/<host>`` next to the bundle.
    trust_sources
        Use the Fortran sources of the bundle even if they differ from those that this version of
        emufort generates from its weights.bin. Set it only for bundles that you trust.

    Raises
    ------
    UsageError
        There is no glue for this host and this contract, or MOM6 cannot compute the network.
    EmufortError
        A file of the bundle was changed, its sources differ from those that this version generates,
        a source of the process cannot be used, or `out` holds other files or cannot be written.
    """
    # A Bundle is opened again, because its files may have changed.
    opened = Bundle.open(bundle)
    foreign = [] if trust_sources else opened.foreign_sources()
    if foreign:
        raise EmufortError(
            f"this version of emufort writes another {', '.join(foreign)} from the weights.bin of "
            f"{opened.path}; export the bundle again, or give --trust-sources if you trust who "
            "wrote it"
        )
    check_host(opened.manifest.contract, host)
    if opened.form == "file" and host != MOM6:
        raise EmufortError(
            f"the module of '{opened.name}' loads weights.bin, which the glue for the host "
            f"'{host}' does not pass; export it with --weights module, or load weights.bin as "
            "docs/coupling.md says"
        )
    folder = opened.path.parent / "host" / host if out is None else Path(out)
    folder = folder.resolve()  # target of a symbolic link
    _refuse_foreign(folder)
    contents = _mom6_contents(opened) if host == MOM6 else _contents(opened, host)
    try:
        with scratch_folder(folder.parent) as scratch:
            building = scratch / folder.name
            for name, file in contents.items():
                path = building / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.text.encode() if isinstance(file.text, str) else file.text)
                if file.executable:
                    path.chmod(path.stat().st_mode | 0o111 & ~_umask())
            if folder.exists():
                shutil.rmtree(folder)
            building.rename(folder)
    except OSError as error:
        raise EmufortError(
            f"cannot write {folder}: {error.strerror or error}; free some space or choose another "
            "folder"
        ) from error
    return WrittenGlue(host, folder, tuple(sorted(contents)))


def host_glue(contract: Contract) -> HostGlue:
    """Return the glue that the process of a contract adds; empty if it does not fit the contract.

    Raises
    ------
    ContractError
        The process of the contract is not registered or cannot be loaded.
    """
    if contract.process is None:
        return HostGlue()
    glue = processes.process(contract.process).host
    return HostGlue() if glue.fits(contract) else glue


def check_host(contract: Contract, host: str) -> None:
    """Check that there is glue for a host and a contract.

    Raises
    ------
    UsageError
        There is none; the message lists the hosts with glue. Or MOM6 cannot compute what the
        contract describes.
    ContractError
        The process of the contract is not registered or cannot be loaded.
    """
    added = (name for name in host_glue(contract).hosts if name not in (PLAIN, MOM6))
    offered = (PLAIN, MOM6, *added)
    if host == MOM6:
        check_mom_ann_contract(contract)
    if host in offered:
        return
    of = f"the contract '{contract.name}'"
    if contract.process is not None:
        of += f" of the process '{contract.process}'"
        glue = processes.process(contract.process).host
        reason = glue.fits(contract)
        if host in glue.hosts and reason:
            raise UsageError(f"there is no glue for the host '{host}' and {of}: {reason}")
    raise UsageError(
        f"there is no glue for the host '{host}' and {of}; it offers {', '.join(offered)}"
    )


def _marker(bundle: Bundle, host: str) -> GlueFile:
    return GlueFile(
        f"Glue for the host '{host}', written by 'emufort export --host {host}'; replaced by the "
        f"next such call.\nbundle {bundle.hash}\n"
    )


def _mom6_contents(bundle: Bundle) -> dict[str, GlueFile]:
    emulator = bundle.emulator()
    inside = np.isfinite(bundle.golden.x).all(axis=1)
    content = mom_ann_file(emulator, emulator.clip(bundle.golden.x[inside][0]))
    return {f"{bundle.name}.nc": GlueFile(content), _MARKER: _marker(bundle, MOM6)}


def _contents(bundle: Bundle, host: str) -> dict[str, GlueFile]:
    """Return every file by its path in the folder."""
    contract = bundle.manifest.contract
    glue = host_glue(contract)
    texts = {
        path.name: bundle.read(path.name).decode()
        for path in (bundle.runtime_source, bundle.module_source)
    }
    kernels = list(texts)
    texts[CPU_LEVEL] = bundle.read(CPU_LEVEL).decode()
    brought = [*glue.sources(contract), *([] if host in glue.hosts else glue.c_sources(contract))]
    for name, text in (*_process_sources(contract, brought), *glue.generated(bundle).items()):
        if name.lower() in {known.lower() for known in texts}:
            raise EmufortError(
                f"the process '{contract.process}' brings two sources called '{name}' for hosts, "
                "or one that is named like a file of the bundle; rename one"
            )
        texts[name] = _filled(text, bundle.module_name)
    needed = dependencies({n: t for n, t in texts.items() if n.endswith(_FORTRAN_SUFFIXES)})
    order = in_order(needed, needed)
    sources = [
        SchemeSource(name, tuple(Path(other).stem for other in needed[name]))
        for name in order
        if name not in kernels
    ]
    files: Mapping[str, GlueFile]
    if host in glue.hosts:
        files = glue.hosts[host](bundle)
    else:
        files = plain_files(bundle, glue, sources)
        headers = (name for name in source_files(bundle.module_name) if name not in texts)
        texts |= {name: bundle.read(name).decode() for name in (CMAKE, *headers)}
    paths = {name: f"src/{name}" for name in texts}
    if host in glue.sorting_hosts:
        paths |= {name: f"{_NUMBERED}/{i:02d}_{name}" for i, name in enumerate(order, start=1)}
    in_line = ",".join(paths[name] for name in order)
    return {
        **{paths[name]: GlueFile(text) for name, text in texts.items()},
        **{
            name: GlueFile(
                _filled(str(file.text), bundle.module_name).replace("@SOURCES@", in_line),
                file.executable,
            )
            for name, file in files.items()
        },
        LICENSE: GlueFile(license_text()),
        _MARKER: _marker(bundle, host),
    }


def _filled(text: str, module: str) -> str:
    return fill_flags(text).replace("@MODULE@", module)


def _process_sources(contract: Contract, paths: list[Path]) -> Iterator[tuple[str, str]]:
    """Yield name and text of the sources that the process brings for hosts, each once."""
    if contract.process is not None and contract.skill.head is not None:
        head = processes.head(contract.process, contract.skill.head)
        paths = [*head.fortran(contract), *paths]
    for path in dict.fromkeys(path.resolve() for path in paths):
        if not _SOURCE_NAME.fullmatch(path.name):
            raise EmufortError(
                f"the process '{contract.process}' brings the source {path.name!r} for hosts; "
                "name it with letters, digits and underscores, as in scheme.F90"
            )
        try:
            yield path.name, path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise EmufortError(
                f"cannot read the source {path} of the process '{contract.process}': {reason}"
            ) from error


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
