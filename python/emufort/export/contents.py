"""The files of a bundle, and checks that they belong to its manifest."""

from __future__ import annotations

from collections.abc import Iterator

from emufort.errors import EmufortError, UsageError
from emufort.export.c_headers import RUNTIME_HEADERS, header_names
from emufort.export.fortran import check_name
from emufort.export.manifest import Manifest, network_sha256
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile, columns_of

MANIFEST = "manifest.json"
ONNX = "model.onnx"
WEIGHTS = "weights.bin"
RUNTIME = "emufort_runtime.F90"
CPU_LEVEL = "emufort_cpu_level.c"
GOLDEN = "golden.nc"
CMAKE = "CMakeLists.txt"
MODEL_CARD = "MODEL_CARD.md"
LICENSE = "LICENSE"

#: Every file of a bundle except those that are named after the emulator.
FIXED = (
    *(MANIFEST, ONNX, WEIGHTS, RUNTIME, CPU_LEVEL, *RUNTIME_HEADERS, GOLDEN, CMAKE),
    *(MODEL_CARD, LICENSE),
)


def module_name(name: str) -> str:
    """Return the name of the Fortran module of the emulator `name`."""
    return f"{name}_emulator"


def named_files(module: str) -> tuple[str, ...]:
    """Return the files that are named after the emulator: the generated module and its headers."""
    return (f"{module}.F90", *header_names(module))


def source_files(module: str) -> tuple[str, ...]:
    """Return the files that a compiler of a host reads."""
    return (*named_files(module), RUNTIME, CPU_LEVEL, *RUNTIME_HEADERS)


def check_files(manifest: Manifest, source: str) -> None:
    """Check that a manifest lists exactly the files of a bundle, with the hashes of its chain.

    Parameters
    ----------
    manifest
        Manifest from an untrusted file.
    source
        Name of that file in error messages.

    Raises
    ------
    EmufortError
        A file is missing from the list or is not part of a bundle, or two hashes differ.
    """
    try:
        check_name(manifest.name)
    except UsageError as error:
        raise EmufortError(
            f"{source} is damaged: {manifest.name!r} cannot name a Fortran module; export again"
        ) from error
    module, *headers = named_files(module_name(manifest.name))
    wanted = {*FIXED, module, *headers} - {MANIFEST}
    for name in sorted(wanted ^ set(manifest.files)):
        what = "does not list" if name in wanted else "lists, as no bundle has it,"
        raise EmufortError(f"{source} is damaged: it {what} the file {name!r}; export again")
    for link, name in {"onnx": ONNX, "weights": WEIGHTS, "fortran": module}.items():
        if manifest.files[name] != manifest.chain.links[link]:
            raise EmufortError(
                f"{source} contradicts itself on the SHA-256 of {name}; export again"
            )


def contradictions(file: WeightsFile, manifest: Manifest, source: str) -> Iterator[str]:
    """Yield one line for every difference between weights.bin and the manifest.

    Parameters
    ----------
    file
        Content of weights.bin, from which the hash of the candidate is recomputed.
    manifest
        Manifest with which the file must agree.
    source
        Name of weights.bin in the lines.

    Raises
    ------
    EmufortError
        The parts of weights.bin contradict each other.
    """
    restored = restore(file, source)
    candidate = network_sha256(restored.contract, file.flat)
    about = {
        "name": manifest.name,
        "architecture": manifest.architecture.label,
        **manifest.origin("onnx"),
    }
    agrees = {
        "contract": restored.contract.sha256 == manifest.contract.sha256,
        "architecture": restored.plan.renamed() == manifest.architecture.plan.renamed(),
        "candidate": candidate == manifest.chain.links["candidate"],
        "tolerance": file.relative_tolerance == manifest.tolerance,
        "precision": file.flat.precision == manifest.precision,
        "columns": file.columns == columns_of(manifest.contract),
        **{key: file.about.get(key) == value for key, value in about.items()},
    }
    for what, right in agrees.items():
        if not right:
            yield (
                f"{source} and {MANIFEST} do not belong together: they differ in '{what}'; export "
                "again"
            )
