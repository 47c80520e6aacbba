"""Errors for users: one line that says what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EmufortError(Exception):
    """An operation failed; the message is one line and names the cause."""

    exit_code = 1


class UsageError(EmufortError):
    """The request is not valid: an unknown option, key or value."""

    exit_code = 2


class ContractError(UsageError):
    """A contract file is unreadable or contradicts itself."""


class DataError(EmufortError):
    """A data set does not satisfy its contract."""


class StorageError(EmufortError):
    """A file or folder cannot be written: the disk is full, or there is no permission."""


class VerificationError(EmufortError):
    """An exported bundle does not reproduce the trained network."""

    exit_code = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to `word`, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else ""
