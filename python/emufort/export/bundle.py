"""The bundle: one folder with everything that a host model needs of an emulator."""

from __future__ import annotations

import dataclasses
import hashlib
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
from emufort.brief import brief
from emufort.config import DEFAULTS
from emufort.config.deployment import Placement
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export.bundle_sources import bundle_sources, named
from emufort.export.contents import (
    CMAKE,
    FIXED,
    GOLDEN,
    LICENSE,
    MANIFEST,
    MODEL_CARD,
    ONNX,
    RUNTIME,
    WEIGHTS,
    check_files,
    contradictions,
    module_name,
    named_files,
    source_files,
)
from emufort.export.golden import Golden
from emufort.export.manifest import HashChain, Manifest, hashes
from emufort.export.model_card import TestSkill, model_card
from emufort.export.onnx import build_onnx
from emufort.export.restore import restore
from emufort.export.weights_file import WeightsFile
from emufort.export.weights_form import Form, form_of
from emufort.files import make_directory, write_bytes, write_json
from emufort.network.emulator import Emulator
from emufort.network.precision import Precision
from emufort.retrain.agreement_words import Agreement
from emufort.toolchain.sources import license_text

_NAMED_SUFFIXES = named_files(module_name(""))
#: Age [s] from which a half-written bundle belongs to a process that was killed.
_STALE = 3600.0


@dataclass(frozen=True)
class Bundle:
    """An exported emulator on disk.

    Attributes
    ----------
    path
        The folder.
    manifest
        Content and origin of the bundle.
    """

    path: Path
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        shape = self.manifest.architecture
        return brief(self, str(self.path), f"{self.name} {shape.label}", f"hash {self.hash[:12]}")

    @classmethod
    def open(cls, path: str | os.PathLike[str], check: bool = True) -> Bundle:
        """Open a bundle and, unless `check` is false, compare its files with the manifest.

        Raises
        ------
        EmufortError
            There is no bundle at `path`, its manifest is damaged, a file is missing, was changed or
            contradicts the manifest, or the folder holds other files.
        """
        folder = Path(path)
        source = folder / MANIFEST
        if not source.is_file():
            raise EmufortError(f"{folder} is no bundle: it has no {MANIFEST}; export again")
        if source.is_symlink():
            raise EmufortError(f"{source} is a link; a bundle holds plain files, export again")
        try:
            raw = source.read_bytes()
        except OSError as error:
            raise EmufortError(f"cannot read {source}: {error.strerror}") from error
        manifest = Manifest.from_bytes(raw, str(source))
        check_files(manifest, str(source))
        bundle = cls(folder, manifest)
        problems = bundle.problems() if check else []
        if problems:
            raise EmufortError(problems[0])
        return bundle

    def read(self, name: str) -> bytes:
        """Return the content of a file, exactly the bytes that were compared with the manifest.

        Raises
        ------
        EmufortError
            The file is missing, is not a plain file, or was changed after the export.
        """
        path = self.path / name
        if path.is_symlink():
            raise EmufortError(f"{path} is a link; a bundle holds plain files, export again")
        if not path.is_file():
            raise EmufortError(f"{self.path} lacks {name}; export again")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EmufortError(f"cannot read {path}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.manifest.files.get(name):
            raise EmufortError(
                f"{path} is not the file that was exported: its SHA-256 differs from that in "
                f"{MANIFEST}; export again"
            )
        return content

    def problems(self) -> list[str]:
        """Return one line for every problem with the files.

        A file is missing or was changed; the folder holds a file that is not part of the bundle; or
        weights.bin contradicts the manifest.
        """
        found = []
        for name in self.manifest.files:
            try:
                self.read(name)
            except EmufortError as error:
                found.append(str(error))
        known = {MANIFEST, *self.manifest.files}
        for other in sorted({entry.name for entry in self.path.iterdir()} - known):
            found.append(
                f"{self.path} holds {other!r}, which is not part of the bundle; move it away"
            )
        if not found:
            try:
                found += contradictions(self.weights_file, self.manifest, str(self.weights))
            except EmufortError as error:
                found.append(str(error))
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
        """Hash of the chain from the data to the weights; the generated module prints it."""
        return self.manifest.hash

    @property
    def onnx(self) -> Path:
        """Path of the ONNX model."""
        return self.path / ONNX

    @property
    def weights(self) -> Path:
        """Path of weights.bin, which the Fortran runtime loads."""
        return self.path / WEIGHTS

    @property
    def runtime_source(self) -> Path:
        """Path of the Fortran runtime, one file."""
        return self.path / RUNTIME

    @property
    def module_source(self) -> Path:
        """Path of the generated Fortran module."""
        return self.path / f"{self.module_name}.F90"

    @cached_property
    def form(self) -> Form:
        """How the generated module gets its weights; errors are those of `weights_file`."""
        return form_of(self.weights_file.flat, self.manifest.placement)

    @cached_property
    def golden(self) -> Golden:
        """The golden vectors; errors are those of `read` and of `Golden.load`."""
        path = self.path / GOLDEN
        return Golden.load(path, self.manifest.contract, self.read(GOLDEN))

    @cached_property
    def weights_file(self) -> WeightsFile:
        """The content of weights.bin; errors are those of `read` and `WeightsFile.from_bytes`."""
        return WeightsFile.from_bytes(self.read(WEIGHTS), str(self.weights))

    def emulator(self) -> Emulator:
        """Return the emulator as weights.bin holds it; errors are those of `weights_file`."""
        return restore(self.weights_file, str(self.weights))

    # ---------------------------------------------------------------- sources

    def foreign_sources(self) -> list[str]:
        """Return the names of the sources that differ from those this version of emufort generates.

        The module, the runtime with its C file and headers, and CMakeLists.txt are generated again
        from weights.bin and compared byte for byte. The sources of another version and forged
        sources differ.
        """
        try:
            # The numbers of a network without hidden layers do not determine its activation
            # function.
            emulator = dataclasses.replace(self.emulator(), architecture=self.manifest.architecture)
            file, chain = self.weights_file, self.manifest.chain
            written = bundle_sources(emulator, file, self.name, chain, self.manifest.placement)
        except EmufortError:
            written = {}
        names = (*source_files(self.module_name), CMAKE)
        return [name for name in names if written.get(name) != self.read(name)]

    def staged(self, folder: Path) -> Bundle:
        """Copy the sources of a program and weights.bin into `folder`, which only emufort writes.

        The copies are the bytes that were compared with the manifest, even if the files of the
        bundle change in the meantime.
        """
        for name in (*source_files(self.module_name), WEIGHTS):
            write_bytes(folder / name, self.read(name))
        return Bundle(folder, self.manifest)


def export(
    emulator: Emulator,
    data: Dataset,
    out: str | os.PathLike[str],
    name: str | None = None,
    golden: int = DEFAULTS.export.golden,
    precision: Precision | None = DEFAULTS.export.precision,
    weights: Placement = DEFAULTS.export.weights,
    judge: Dataset | None = None,
    caveat: str = "",
    agreement: Agreement | None = None,
) -> Bundle:
    """Write a bundle; an existing bundle is replaced as a whole.

    Parameters
    ----------
    emulator
        The trained network.
    data
        Data set of the emulator's contract, for the golden inputs and the skill on the test split.
    out
        The bundle's folder.
    name
        Name of the emulator, default that of the contract; the module is ``<name>_emulator``.
    golden
        Number of golden vectors.
    precision
        Precision in which all forms compute; None: that of `emulator`.
    weights
        Whether the generated module holds the network, or loads weights.bin.
    judge
        The same rows read by the contract whose skill variables selected the network (see
        `emufort.dataset.targets`); default `data`.
    caveat
        A sentence for the model card about how the network was selected, see `Selection.caveat`.
    agreement
        How well step 1 of the run predicted step 2, for model card and manifest.

    Raises
    ------
    UsageError
        `name` cannot name a Fortran module, or `golden` is not positive.
    EmufortError
        `data` has another contract, or `out` is not writable or holds other files.
    """
    contract = emulator.contract
    if data.contract.sha256 != contract.sha256:
        raise EmufortError(
            f"the network was trained for another contract than the '{data.contract.name}' of "
            f"{data.source}; export it with the data of its own contract"
        )
    if golden < 1:
        raise UsageError(f"{golden} golden vectors check nothing; request at least 1")
    emulator = emulator.in_precision(precision or emulator.precision)
    name = name or contract.name
    named(emulator, name)
    if not emulator.metadata.get("data_sha256"):
        known = {**emulator.metadata, "data_sha256": data.sha256}
        emulator = dataclasses.replace(emulator, metadata=known)
    folder = Path(out).resolve()  # what a symbolic link leads to
    with _replacing_folder(folder) as building:
        judged = data if judge is None else judge
        _write(building, emulator, data, judged, name, golden, weights, caveat, agreement)
    return Bundle.open(folder)


def _write(
    folder: Path,
    emulator: Emulator,
    data: Dataset,
    judge: Dataset,
    name: str,
    n_golden: int,
    placement: Placement,
    caveat: str,
    agreement: Agreement | None,
) -> None:
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
    chain = chain.then("weights", add(WEIGHTS, weights.to_bytes()))
    identity = chain.head
    sources = bundle_sources(emulator, weights, name, chain, placement)
    chain = chain.then("fortran", add(f"{module}.F90", sources[f"{module}.F90"]))
    for source in source_files(module):
        if source not in files:
            add(source, sources[source])
    vectors.save(folder / GOLDEN, {"bundle": identity})
    files[GOLDEN] = provenance.file_sha256(folder / GOLDEN)
    add(CMAKE, sources[CMAKE])
    add(LICENSE, license_text().encode())

    described = provenance.describe()
    skill = TestSkill.of(emulator, data, judge)
    card = model_card(
        emulator,
        data,
        skill,
        name=name,
        module=module,
        date=described["time"][:10],
        bundle_hash=identity,
        files=files,
        form=form_of(weights.flat, placement),
        caveat=caveat,
        agreement=agreement,
    )
    add(MODEL_CARD, card.encode())
    manifest = Manifest(
        name=name,
        contract=emulator.contract,
        architecture=emulator.architecture,
        chain=chain,
        files=files,
        tolerance=vectors.tolerance,
        precision=emulator.precision,
        placement=placement,
        skill=None if skill is None else skill.to_dict(),
        provenance=described,
        metadata={
            **emulator.metadata,
            **({} if agreement is None else {"agreement": agreement.to_dict()}),
        },
    )
    write_json(folder / MANIFEST, manifest.to_dict())


# ------------------------------------------------------------ folders as a whole


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder next to `folder`, which replaces `folder` on success.

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
            # A folder cannot be renamed onto another, so for a moment there is none.
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
    """Give a private temporary folder the permissions of an ordinary folder."""
    mask = os.umask(0)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace a folder that holds files that no export has written."""
    if folder.exists() and not folder.is_dir():
        raise EmufortError(f"{folder} is a file, not a folder; choose another --out")
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name not in FIXED and not entry.name.endswith(_NAMED_SUFFIXES):
            raise EmufortError(
                f"{folder} holds '{entry.name}', which is not part of a bundle; move it away or "
                "choose another --out"
            )


def _sweep(folder: Path) -> None:
    """Remove temporary folders that killed exports have left next to `folder`."""
    for pattern in (f".{folder.name}.*.part", f".{folder.name}.*.old"):
        for left in folder.parent.glob(pattern):
            try:
                if left.is_dir() and time.time() - left.stat().st_mtime > _STALE:
                    shutil.rmtree(left, ignore_errors=True)
            except OSError:
                continue
