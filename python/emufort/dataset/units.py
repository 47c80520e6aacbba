"""Units of variables in files and contracts, as text."""

#: Spellings that mean the same units as the spelling of the contracts.
_ALIASES = {"": "1", "m/s": "m s-1", "m s^-1": "m s-1", "m^-3": "m-3", "1/m3": "m-3"}


def same_units(first: str, second: str) -> bool:
    """Return whether two texts name the same units."""
    return _ALIASES.get(first, first) == _ALIASES.get(second, second)
