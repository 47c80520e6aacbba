"""The presets of the pond: how deep the water is."""

from __future__ import annotations

import tomllib
from pathlib import Path

from emufort.contract import Contract
from emufort.errors import UsageError
from emufort.processes import Preset
from emufort.processes.labels import kept_labels
from pond_package.data import make_labels

CONTRACT = Path(__file__).parent / "contracts" / "shallow.toml"


def read_preset(path):
    """Return the preset of a file with the keys process, name, serves and bottom [m]."""
    content = tomllib.loads(path.read_text())
    bottom = content.get("bottom")
    if not isinstance(bottom, float) or not 0.2 <= bottom <= 10.0:
        raise UsageError(f"{path}: bottom must be a depth between 0.2 and 10.0 m, not {bottom!r}")
    text = CONTRACT.read_text().replace("[0.1, 1.9]", f"[0.1, {bottom}]")
    contract = Contract.from_toml(text.replace('"evaporation"', f'"pond_{content["name"]}"'))

    def labels(samples, seed, report):
        def make():
            made = make_labels(samples, seed, lambda n: None)
            report(1, 1)
            return made

        return kept_labels("pond", [content, samples, seed], make)

    return Preset(
        content["name"],
        contract,
        labels,
        serves=tuple(content["serves"]),
        options={"select": {"rule": "best"}, "search": {"space": {"activation": ["tanh"]}}},
        facts={"bottom": bottom},
    )
