"""Names and paths of contracts."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from emufort.errors import ContractError, did_you_mean
from emufort.processes import registry as processes


def is_path(name: str) -> bool:
    """Return whether the name of a contract is a path: it has a separator or ends in ``.toml``."""
    return name.endswith(".toml") or any(s in name for s in (os.sep, os.altsep) if s)


def named_contract(name: str) -> Path:
    """Return the file of a bundled contract or of a contract of a registered process."""
    bundled = bundled_contracts()
    if name in bundled:
        return bundled[name]
    process, _, contract = name.partition(".")
    if contract and process in processes.registered():
        files = processes.process(process).contract_files()
        if contract not in files:
            raise ContractError(
                f"the process '{process}' has no contract '{contract}'"
                f"{did_you_mean(contract, files)}; it has {', '.join(files) or 'none'}"
            )
        return files[contract]
    file = f"; for the file of that name give './{name}'" if Path(name).is_file() else ""
    raise ContractError(
        f"there is no contract '{name}'{did_you_mean(name, bundled)}; bundled are "
        f"{', '.join(sorted(bundled))}, or give the path of a TOML file{file}"
    )


def bundled_contracts() -> dict[str, Path]:
    """Return the contracts that come with the package, by name."""
    root = Path(str(resources.files("emufort")))
    return {path.stem: path for path in sorted(root.glob("processes/*/contracts/*.toml"))}
