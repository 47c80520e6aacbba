"""Import Optuna without its informational messages."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any


@cache
def quiet_optuna() -> Any:
    """Import Optuna on first use, with its log limited to warnings and errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
