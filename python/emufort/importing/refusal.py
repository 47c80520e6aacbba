"""The error for a network that cannot be imported."""

from __future__ import annotations

from emufort.errors import UsageError

#: Most elements of a value of the graph for one column.
MOST_ELEMENTS = 2**20


class ImportRefusedError(UsageError):
    """A network cannot be imported; the message names operation, node, reason and remedy."""


def refuse(operator: str, node: str, reason: str, remedy: str) -> ImportRefusedError:
    """Return the error for a node that cannot be imported."""
    where = f" of the node '{node}'" if node else ""
    return ImportRefusedError(
        f"the operation {operator}{where} cannot be imported: {reason}; {remedy}"
    )
