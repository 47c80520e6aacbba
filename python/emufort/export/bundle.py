"""The bundle: one folder with all that a host model needs of an emulator, whole or absent."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emufort import provenance
from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.errors import ContractError, EmufortError, UsageError
from emufort.export._render import render
from emufort.export.fortran import fortran_source, loads_weights, runtime_source
from emufort.export.golden import Golden
from emufort.export.manifest import HashChain, Manifest, hashes
from emufort.export.model_card import TestSkill, model_card
from emufort.export.onnx import build_onnx
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.files import make_directory, read_json, write_bytes, write_json, write_text
from emufort.network import Emulator

MANIFEST = "manifest.json"
ONNX = "model.onnx"
WEIGHTS = "weights.bin"
RUNTIME = "emufort_runtime.F90"
GOLDEN = "golden.nc"
CMAKE = "CMakeLists.txt"
MODEL_CARD = "MODEL_CARD.md"

_MODULE_SUFFIX = "_emulator.F90"
#: A half-written bundle this many seconds old belongs to a process that was killed.
_STALE = 3600.0


@dataclass(frozen=True)
class Bundle:
    """An exported emulator on disk.

    Attributes
    ----------
    path
        The folder.
    manifest
        What it holds and where that comes from.
    """

    path: Path
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], check: bool = True) -> Bundle:
        """Open a bundle and, unless `check` is false, compare its files with the manifest.

        Raises
        ------
        EmufortError
            There is no bundle at `path`, or a file of it is missing or was changed.
        """
        folder = Path(path)
        if not (folder / MANIFEST).is_file():
            raise EmufortError(f"{folder} is no bundle: it has no {MANIFEST}; export again")
        manifest = Manifest.from_dict(read_json(folder / MANIFEST), str(folder / MANIFEST))
        bundle = cls(folder, manifest)
        problems = bundle.problems() if check else []
        if problems:
            raise EmufortError(problems[0])
        return bundle

    def problems(self) -> list[str]:
        """Say what is wrong with the files, one line each: missing, changed, not of this chain."""
        found = []
        for name, sha256 in self.manifest.files.items():
            path = self.path / name
            if not path.is_file():
                found.append(f"{self.path} lacks {name}; export again")
            elif provenance.file_sha256(path) != sha256:
                found.append(
                    f"{path} is not the file that was exported: its SHA-256 differs from that in "
                    f"{MANIFEST}; export again"
                )
        links = {"onnx": ONNX, "weights": WEIGHTS, "fortran": self.module_source.name}
        for link, name in links.items():
            if self.manifest.files.get(name) != self.manifest.chain.links.get(link):
                found.append(
                    f"{self.path / MANIFEST} contradicts itself on the SHA-256 of {name}; export "
                    "again"
                )
        return found

    @property
    def name(self) -> str:
        """Name of the emulator."""
        return self.manifest.name

    @property
    def module_name(self) -> str:
        """Name of the generated Fortran module."""
        return module_name(self.name)

    @property
    def hash(self) -> str:
        """What stands for everything from the data to the weights; the module prints it."""
        return self.manifest.hash

    @property
    def onnx(self) -> Path:
        """The ONNX model."""
        return self.path / ONNX

    @property
    def weights(self) -> Path:
        """What the Fortran runtime loads."""
        return self.path / WEIGHTS

    @property
    def runtime_source(self) -> Path:
        """The Fortran runtime, one file."""
        return self.path / RUNTIME

    @property
    def module_source(self) -> Path:
        """The generated Fortran module."""
        return self.path / f"{self.module_name}.F90"

    @property
    def loads_weights(self) -> bool:
        """Whether the generated module reads `weights` when the host starts."""
        return loads_weights(self.manifest.architecture)

    @cached_property
    def golden(self) -> Golden:
        """The golden vectors."""
        return Golden.load(self.path / GOLDEN, self.manifest.contract)

    def emulator(self) -> Emulator:
        """Return the emulator as weights.bin holds it; errors are those of `WeightsFile.read`."""
        return restore(WeightsFile.read(self.weights), str(self.weights))


def module_name(name: str) -> str:
    """Return the name of the Fortran module of the emulator `name`."""
    return f"{name}_emulator"


def _named(emulator: Emulator, name: str) -> Emulator:
    """Return the emulator under another name, which the generated module takes from its contract.

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


def export(
    emulator: Emulator,
    data: Dataset,
    out: str | os.PathLike[str],
    name: str | None = None,
    golden: int = 64,
) -> Bundle:
    """Write a bundle; one that is there already is replaced as a whole.

    Parameters
    ----------
    emulator
        The trained network.
    data
        Data set of its contract: gives the golden inputs and the skill on the test split.
    out
        The bundle's folder.
    name
        Name of the emulator, default that of the contract; the module is ``<name>_emulator``.
    golden
        Number of golden vectors.

    Raises
    ------
    UsageError
        `name` cannot name a Fortran module, or `golden` is not positive.
    EmufortError
        `data` is of another contract, or `out` is not writable or holds something else.
    """
    contract = emulator.contract
    if data.contract.sha256 != contract.sha256:
        raise EmufortError(
            f"the network was trained for another contract than the '{data.contract.name}' of "
            f"{data.source}; export it with the data of its own contract"
        )
    if golden < 1:
        raise UsageError(f"{golden} golden vectors check nothing; ask for at least 1")
    name = name or contract.name
    _named(emulator, name)
    if not emulator.metadata.get("data_sha256"):
        known = {**emulator.metadata, "data_sha256": data.sha256}
        emulator = dataclasses.replace(emulator, metadata=known)
    folder = Path(out)
    with _replacing_folder(folder) as building:
        _write(building, emulator, data, name, golden)
    return Bundle.open(folder)


def _write(folder: Path, emulator: Emulator, data: Dataset, name: str, n_golden: int) -> None:
    """Write every file into `folder`, in the order of the hash chain."""
    module = module_name(name)
    vectors = Golden.draw(emulator, data, n_golden)
    files: dict[str, str] = {}

    def add(file: str, content: bytes) -> str:
        write_bytes(folder / file, content)
        files[file] = provenance.file_sha256(folder / file)
        return files[file]

    chain = HashChain.of_candidate(emulator)
    chain = chain.then(
        "onnx", add(ONNX, build_onnx(emulator).SerializeToString(deterministic=True))
    )
    weights = WeightsFile.from_emulator(
        emulator,
        vectors.x,
        vectors.y,
        relative_tolerance=vectors.tolerance,
        absolute_tolerance=vectors.tolerance * vectors.spread,
        about={"name": name, "chain": chain.head, **hashes(emulator)},
    )
    weights_chain = chain.head
    chain = chain.then("weights", add(WEIGHTS, weights.to_bytes()))
    identity = chain.head
    source = fortran_source(_named(emulator, name), identity, weights_chain=weights_chain)
    chain = chain.then("fortran", add(f"{module}.F90", source.encode()))
    add(RUNTIME, runtime_source().encode())
    vectors.save(folder / GOLDEN, {"bundle": identity})
    files[GOLDEN] = provenance.file_sha256(folder / GOLDEN)

    described = provenance.describe()
    cmake = render(
        "CMakeLists.txt.j2",
        title=emulator.contract.title or name,
        version=described["versions"]["emufort"],
        runtime_sha256=files[RUNTIME],
        module=module,
        hash=identity,
        loads=loads_weights(emulator.architecture),
    )
    add(CMAKE, cmake.encode())
    skill = TestSkill.of(emulator, data)
    card = model_card(
        emulator,
        data,
        skill,
        name=name,
        module=module,
        date=described["time"][:10],
        bundle_hash=identity,
        files=files,
    )
    write_text(folder / MODEL_CARD, card)
    files[MODEL_CARD] = provenance.file_sha256(folder / MODEL_CARD)
    manifest = Manifest(
        name=name,
        contract=emulator.contract,
        architecture=emulator.architecture,
        chain=chain,
        files=files,
        tolerance=vectors.tolerance,
        skill=None if skill is None else skill.to_dict(),
        provenance=described,
        metadata=emulator.metadata,
    )
    write_json(folder / MANIFEST, manifest.to_dict())


# ------------------------------------------------------------ folders as a whole


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; on success it takes the place of `folder`.

    A reader, or the same command after a kill, sees the old bundle, the new one, or none.
    """
    _refuse_foreign(folder)
    make_directory(folder.parent)
    _sweep(folder)
    try:
        building = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent)
        )
    except OSError as error:
        raise EmufortError(
            f"cannot write {folder}: {error.strerror}; choose another --out"
        ) from error
    try:
        _open_up(building)
        yield building
        if folder.exists():
            # A folder cannot be renamed onto another: for a moment there is none.
            old = building.with_suffix(".old")
            folder.rename(old)
            building.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            building.rename(folder)
    except OSError as error:
        raise EmufortError(
            f"cannot write {folder}: {error.strerror or error}; free some space or choose another "
            "--out"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Give a temporary folder, which is private, the permissions of an ordinary one."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace a folder that holds anything that no export has written."""
    if folder.exists() and not folder.is_dir():
        raise EmufortError(f"{folder} is a file, no folder; choose another --out")
    if not folder.is_dir():
        return
    ours = {MANIFEST, ONNX, WEIGHTS, RUNTIME, GOLDEN, CMAKE, MODEL_CARD}
    for entry in sorted(folder.iterdir()):
        if entry.name not in ours and not entry.name.endswith(_MODULE_SUFFIX):
            raise EmufortError(
                f"{folder} holds '{entry.name}', which is no part of a bundle; move it away or "
                "choose another --out"
            )


def _sweep(folder: Path) -> None:
    """Remove what exports that were killed have left beside `folder`."""
    for pattern in (f".{folder.name}.*.part", f".{folder.name}.*.old"):
        for left in folder.parent.glob(pattern):
            try:
                if left.is_dir() and time.time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left, ignore_errors=True)
            except OSError:
                continue
