"""CF netCDF data as arrays, checked against a contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from emufort.brief import brief
from emufort.contract import Column, Contract
from emufort.dataset import rows as tables
from emufort.dataset.complaints import Complaints
from emufort.dataset.opening import open_data
from emufort.dataset.reader import Reader, drawn_split
from emufort.dataset.sources import data_files, embedded_dataset, hash_of
from emufort.dataset.splits import SPLITS
from emufort.errors import DataError, did_you_mean
from emufort.extent import Extent
from emufort.paths import PathLike

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Dataset:
    """Usable rows of inputs and outputs, in physical units and double precision.

    Tables with more rows than `emufort.dataset.rows.BLOCK` are stored on disk and mapped into
    memory, read-only. Read them block by block, because `features` and `targets` copy the whole
    table.

    Attributes
    ----------
    contract
        Contract that describes the columns.
    source
        Path of the netCDF file or Zarr store, or pattern of several.
    sha256
        Hash of the file; of several, hash of their hashes in order.
    x, y
        Inputs (n, n_inputs) and outputs (n, n_outputs), columns in contract order.
    split
        0, 1, 2 for train, validation, test; shape (n,).
    rows
        Position of each row among the samples of the data; shape (n,).
    baselines
        Name of a baseline -> its values, shape (n, k).
    dropped
        Meaning of the filter's flag -> number of rows that were left out for it. Rows whose filter
        or split has a value without a meaning are counted separately.
    scratch
        Folder for long tables; None for the folder of temporary files.
    parent
        The data set from which these rows were taken; None for an opened data set.
    baseline_shapes
        Name of a baseline -> shape of each of its quantities in one sample.
    """

    contract: Contract
    source: Path
    sha256: str
    x: Array
    y: Array
    split: NDArray[np.int8]
    rows: NDArray[np.int64]
    baselines: Mapping[str, Array] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    scratch: Path | None = field(default=None, compare=False)
    parent: Self | None = field(default=None, compare=False, repr=False)
    baseline_shapes: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        counts = [int((self.split == code).sum()) for code in range(len(SPLITS))]
        return brief(
            self,
            f"{self.contract.name}, {self.source}",
            f"{len(self)} samples ({', '.join(map('{} {}'.format, SPLITS, counts))})",
            f"{self.x.shape[1]} inputs, {self.y.shape[1]} outputs",
        )

    # ---------------------------------------------------------------- opening

    @classmethod
    def open(
        cls, path: PathLike | None, contract: Contract, scratch: PathLike | None = None
    ) -> Self:
        """Read netCDF files or Zarr stores, or if `path` is None what comes with the package.

        Parameters
        ----------
        path
            The netCDF file or Zarr store, or a pattern such as ``"era5_*.nc"``. The rows of several
            files follow each other in the order of the names.
        contract
            Contract that describes the variables.
        scratch
            Folder for long tables; default None for the folder of temporary files.

        Raises
        ------
        DataError
            The file, a variable, a dimension or a label is missing, units differ, a label or input
            is NaN or infinite, a value lies outside the contract's range, outside the domain of its
            transform or beyond single precision, or no row is usable.
        """
        source = embedded_dataset(contract) if path is None else Path(path)
        folder = None if scratch is None else Path(scratch)
        files = data_files(source)
        if not files:
            raise DataError(
                f"there is no data file {source}; give --data the path of a "
                "netCDF file or a Zarr store"
            )
        with ExitStack() as stack:
            parts = {file: stack.enter_context(open_data(file)) for file in files}
            return cls._of_parts(parts, contract, source, hash_of(files), folder)

    @classmethod
    def from_xarray(
        cls,
        raw: xr.Dataset,
        contract: Contract,
        source: Path = Path("memory"),
        sha256: str = "",
        scratch: Path | None = None,
    ) -> Self:
        """Check `raw` against `contract` and keep the usable rows; raises the errors of `open`."""
        return cls._of_parts({source: raw}, contract, source, sha256, scratch)

    @classmethod
    def _of_parts(
        cls,
        raws: Mapping[Path, xr.Dataset],
        contract: Contract,
        source: Path,
        sha256: str,
        scratch: Path | None,
    ) -> Self:
        """Read data sets whose rows follow each other."""
        readers = [Reader(raw, contract, file) for file, raw in raws.items()]
        split = drawn_split(readers, contract)
        complaints = Complaints(source, contract)

        def parts() -> Iterator[tuple[NDArray[Any], ...]]:
            first = 0
            for reader in readers:
                for part in tables.blocks(reader.n):
                    start, stop = first + part.start, first + part.stop
                    given = None if split is None else split[start:stop]
                    yield reader.part(part).read(start, given, complaints)
                first += reader.n

        x, y, split_of_rows, rows, *values = tables.tables(parts(), scratch)
        for reader in readers:
            reader.check_parameters()
        complaints.raise_first()
        baselines = {b.name: v for b, v in zip(contract.baseline, values, strict=True)}
        dropped = complaints.dropped
        shapes = {b.name: readers[0].baseline_shapes(b) for b in contract.baseline}
        return cls(
            *(contract, source, sha256, x, y, split_of_rows, rows, baselines, dropped, scratch),
            baseline_shapes=shapes,
        )

    # -------------------------------------------------------------- selecting

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the rows at `indices` (positions in this object)."""

        def of(values: NDArray[Any]) -> NDArray[Any]:
            return tables.take(values, indices, self.scratch)

        return replace(
            self,
            x=of(self.x),
            y=of(self.y),
            split=of(self.split),
            rows=of(self.rows),
            baselines={name: of(values) for name, values in self.baselines.items()},
            parent=self.whole,
        )

    def under(self, contract: Contract) -> Dataset:
        """Return the whole data set as read by another contract, not only these rows.

        Raises
        ------
        DataError
            See `open`; or the data are only in memory and the contract has other variables.
        """
        if contract.sha256 == self.contract.sha256:
            return self
        if _untransformed(self.contract) == _untransformed(contract):
            complaints = Complaints(self.source, contract)
            complaints.passed = complaints.kept = len(self)
            for part in tables.blocks(len(self)):
                baselines = [self.baselines[b.name][part] for b in contract.baseline]
                complaints.look(self.x[part], self.y[part], self.rows[part], baselines)
                self.forget()
            complaints.raise_first()
            return replace(self, contract=contract, parent=None)
        if not data_files(self.source):
            raise DataError(
                f"the contract '{contract.name}' has other variables than "
                f"'{self.contract.name}', and these data have no file to read them from"
            )
        return Dataset.open(self.source, contract, self.scratch)

    def part(self, name: str) -> Self:
        """Return the rows of one split: ``"train"``, ``"validation"`` or ``"test"``.

        Raises
        ------
        DataError
            The split has no rows.
        """
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}'{did_you_mean(name, SPLITS)}")
        indices = np.flatnonzero(self.split == SPLITS.index(name))
        if len(indices) == 0:
            raise DataError(f"{self.source} has no usable row in the split '{name}'")
        return self.take(indices)

    def subset(self, size: int, seed: int) -> Self:
        """Return `size` training rows drawn without replacement, and all rows of the other splits.

        The order is random and reproducible. If the data have no training rows (such as one split),
        `size` rows are drawn from all rows.

        Raises
        ------
        DataError
            `size` is not positive or larger than the data.
        """
        pool = np.flatnonzero(self.split == SPLITS.index("train"))
        if len(pool) == 0:
            pool = np.arange(len(self))
        check_subset(size, len(pool), self.source)
        drawn = pool[np.random.default_rng(seed).permutation(len(pool))[:size]]
        others = np.flatnonzero(self.split != SPLITS.index("train"))
        return self.take(np.concatenate([drawn, others]) if len(pool) < len(self) else drawn)

    # ------------------------------------------------------- the network's side

    @cached_property
    def features(self) -> Array:
        """Inputs that the network sees, physical units (n, n_features)."""
        return self.features_of(slice(None))

    @cached_property
    def targets(self) -> Array:
        """Outputs (n, n_outputs); an output relative to an input is divided by it."""
        return self.targets_of(slice(None))

    def features_of(self, part: slice) -> Array:
        """Return the rows `part` of `features`."""
        return self.x[part][:, list(self.contract.feature_indices)]

    def targets_of(self, part: slice) -> Array:
        """Return the rows `part` of `targets`."""
        y = np.array(self.y[part])
        for j, reference in enumerate(self.contract.reference_indices):
            if reference is not None:
                y[:, j] /= self.x[part, reference]
        return y

    def feature_blocks(self) -> Iterator[Array]:
        """Yield `features` block by block."""
        return self._blocks(self.features_of)

    def target_blocks(self) -> Iterator[Array]:
        """Yield `targets` block by block."""
        return self._blocks(self.targets_of)

    def _blocks(self, of: Callable[[slice], Array]) -> Iterator[Array]:
        for part in tables.blocks(len(self)):
            yield of(part)
            self.forget()

    # ------------------------------------------------------- the training rows

    @property
    def whole(self) -> Self:
        """The data set from which these rows were taken; an opened data set itself."""
        return self if self.parent is None else self.parent

    def training_blocks(self, of: Callable[[slice], Array]) -> Iterator[Array]:
        """Yield values of the training rows of `whole` block by block; all rows if it has none.

        Parameters
        ----------
        of
            Returns values (n, ...) of some rows of `whole`.
        """
        whole = self.whole
        chosen = whole.split == SPLITS.index("train")
        everything = not chosen.any()
        for part in tables.blocks(len(whole)):
            if everything:
                yield of(part)
            elif chosen[part].any():
                yield of(part)[chosen[part]]
            whole.forget()

    @property
    def constant_outputs(self) -> Mapping[int, float]:
        """Constant outputs (variation over the training rows within rounding): position -> value.

        The position is that of the column and the value that of `targets`, see `Extent`. They are
        the same for all parts of a data set.
        """
        return self.whole._constant_outputs

    @cached_property
    def _constant_outputs(self) -> Mapping[int, float]:
        extent = Extent(len(self.contract.output_columns))
        for part in self.training_blocks(self.targets_of):
            extent.add(part)
        return {int(j): float(extent.middle[j]) for j in np.flatnonzero(extent.constant)}

    def constant_in_training_only(self) -> list[Column]:
        """Return the outputs that are constant in the training rows but vary over all rows."""
        constant = list(self.constant_outputs)
        extent = Extent(len(constant))
        if constant:
            for part in self.whole.target_blocks():
                extent.add(part[:, constant])
        columns = self.contract.output_columns
        return [columns[j] for j, same in zip(constant, extent.constant, strict=True) if not same]

    def remembered(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the result of `make`, stored under `name` for all parts of the data set."""
        known = self.whole._memory
        if name not in known:
            known[name] = make()
        return known[name]

    @cached_property
    def _memory(self) -> dict[str, Any]:
        return {}

    def constant_columns(self, split: str | None = None) -> list[Column]:
        """Return the constant features and outputs (variation within rounding); see `Extent`.

        Parameters
        ----------
        split
            Only rows of this split are considered; default all rows.
        """
        contract = self.contract
        found = []
        for columns, parts in (
            ([contract.input_columns[i] for i in contract.feature_indices], self.feature_blocks),
            (contract.output_columns, self.target_blocks),
        ):
            extent = Extent(len(columns))
            for where, part in zip(tables.blocks(len(self)), parts(), strict=True):
                rows = part if split is None else part[self.split[where] == SPLITS.index(split)]
                if len(rows):
                    extent.add(rows)
            found += [columns[j] for j in np.flatnonzero(extent.constant)]
        return found

    def forget(self) -> None:
        """Release the memory of the rows that were read from long tables."""
        for values in (self.x, self.y, self.rows, *self.baselines.values()):
            tables.forget(values)


def check_subset(size: int, n: int, source: Path) -> None:
    """Raise `DataError` unless `size` rows can be drawn from the `n` rows of `source`."""
    if not 0 < size <= n:
        raise DataError(
            f"a subset of {size} rows cannot be drawn from the {n} usable rows of {source}; give "
            f"1 to {n}"
        )


#: Keys of a variable that have no effect on the numbers that are read.
_NOT_READ = (
    "transform",
    "relative_to",
    "lower_bound",
    "upper_bound",
    "feature",
    "training_weight",
)


def _untransformed(contract: Contract) -> dict[str, Any]:
    """Return the entries of a contract that determine which numbers of a file are read."""
    content = contract.to_dict()
    for variable in (*content["input"], *content["output"]):
        for key in _NOT_READ:
            variable.pop(key, None)
    kept = ("input", "output", "dimensions", "parameter", "baseline", "filter", "split")
    samples = contract.sample_dimensions
    return {"sample_dimensions": samples, **{key: content.get(key) for key in kept}}
