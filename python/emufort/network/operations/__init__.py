"""The table of operations; a row defines one operation for all forms of a network.

To add an operation, write its row, its check in ``fortran/src/emufort_plan.F90`` and its kernel in
``fortran/src/emufort_operations.F90``; for an operation that networks are trained with, its
gradient in ``emufort.training.torch_operations`` too.

An operation has input buffers and one output, which are arrays (n, features), and may have a weight
and a bias. The activation function is applied to the result of the row, see
`emufort.network.operation.Operation`.
"""

from collections.abc import Mapping

from emufort.network.operations.dense import DENSE
from emufort.network.operations.depthwise import DEPTHWISE
from emufort.network.operations.elementwise import ELEMENTWISE
from emufort.network.operations.kind import OperationKind
from emufort.network.operations.matmul import MATMUL
from emufort.network.operations.normalisation import NORMALISATION
from emufort.network.operations.tables import TABLES

#: Name -> row.
OPERATIONS: Mapping[str, OperationKind] = {
    row.name: row for row in (DENSE, *ELEMENTWISE, MATMUL, *TABLES, DEPTHWISE, *NORMALISATION)
}
