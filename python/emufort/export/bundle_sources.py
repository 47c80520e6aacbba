"""The generated sources of a bundle: module, runtime, headers and CMakeLists.txt."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from emufort import __version__
from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.errors import ContractError, UsageError
from emufort.export.c_headers import headers
from emufort.export.contents import CMAKE, CPU_LEVEL, RUNTIME, module_name
from emufort.export.fortran import fortran_source, requires_workspace, runtime_source
from emufort.export.manifest import HashChain
from emufort.export.render import render
from emufort.export.weights_file import WeightsFile
from emufort.export.weights_form import form_of
from emufort.network.emulator import Emulator
from emufort.toolchain.sources import cpu_level_source


def bundle_sources(
    emulator: Emulator, file: WeightsFile, name: str, chain: HashChain, placement: Placement
) -> Mapping[str, bytes]:
    """Return the source files of a bundle: name -> content.

    Parameters
    ----------
    emulator
        Emulator with the contract and the architecture.
    file
        Content of weights.bin.
    name
        Name of the emulator.
    chain
        Hash chain up to the weights or further.
    placement
        Whether the module holds the network, or loads weights.bin.
    """
    module, runtime = module_name(name), runtime_source(file.flat.precision).encode()
    cpu_level = cpu_level_source().encode()
    identity = chain.upto("weights")
    form = form_of(file.flat, placement)
    cmake = render(
        "CMakeLists.txt.j2",
        title=emulator.contract.title or name,
        version=__version__,
        runtime_sha256=hashlib.sha256(runtime + cpu_level).hexdigest(),
        module=module,
        hash=identity,
        form=form,
    )
    source = fortran_source(
        named(emulator, name),
        identity,
        file=file,
        placement=placement,
        weights_chain=chain.upto("onnx"),
    )
    texts = headers(
        emulator.contract, module, identity, form, requires_workspace(emulator.architecture)
    )
    return {
        f"{module}.F90": source.encode(),
        RUNTIME: runtime,
        CPU_LEVEL: cpu_level,
        CMAKE: cmake.encode(),
        **{file: text.encode() for file, text in texts.items()},
    }


def named(emulator: Emulator, name: str) -> Emulator:
    """Return the emulator with `name` as the name of its contract, which names the module.

    Raises
    ------
    UsageError
        `name` cannot name a Fortran module.
    """
    if name == emulator.contract.name:
        return emulator
    try:
        contract = Contract.from_dict({**emulator.contract.to_dict(), "name": name})
    except ContractError as error:
        raise UsageError(
            f"'{name}' cannot name a Fortran module: use letters, digits and underscores"
        ) from error
    return dataclasses.replace(emulator, contract=contract)
