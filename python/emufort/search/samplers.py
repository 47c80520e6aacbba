"""Names and options of samplers; checked before any work, without importing Optuna for names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from emufort.errors import UsageError, did_you_mean
from emufort.search._optuna import quiet_optuna

#: Ours work on the unit cube and cost next to nothing; name -> options with their defaults.
OWN: dict[str, dict[str, Any]] = {
    "random": {},
    "qmc": {"scramble": True},
    "parzen": {"startup": 32, "gamma": 0.1, "candidates": 24, "history": 500},
}
#: Optuna's; name -> class in `optuna.samplers`.
OPTUNA = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "cmaes": "CmaEsSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
}
#: Other ways to say it.
_ALIASES = {
    "randomsampler": "random",
    "qmcsampler": "qmc",
    "sobol": "qmc",
    "cma-es": "cmaes",
    "cma_es": "cmaes",
    "cma": "cmaes",
    "nsgaii": "nsga2",
    "nsga-ii": "nsga2",
    "nsgaiii": "nsga3",
    "nsga-iii": "nsga3",
    **{name.lower(): short for short, name in OPTUNA.items()},
}
#: Options of ours for all of Optuna's samplers: what a search decides itself.
_RESERVED = ("seed", "constraints_func", "warn_independent_sampling")


def sampler_name(text: str) -> str:
    """Return the canonical name of a sampler.

    Raises
    ------
    UsageError
        There is no such sampler.
    """
    word = text.strip().lower()
    word = _ALIASES.get(word, word)
    if word not in OWN and word not in OPTUNA:
        known = [*OWN, *OPTUNA]
        raise UsageError(
            f"there is no sampler '{text}'{did_you_mean(word, [*known, *_ALIASES])}; there are "
            f"{', '.join(known)}"
        )
    return word


def check_options(sampler: str, options: Mapping[str, Any]) -> None:
    """Check the names of a sampler's options, and that Optuna takes their values.

    Raises
    ------
    UsageError
        An option is unknown, its value is impossible or the sampler's package is missing.
    """
    known = list(OWN[sampler]) if sampler in OWN else sorted(_optuna_options(sampler))
    for name in options:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(
                f"search.sampler_options: the sampler '{sampler}' has no option '{name}'"
                f"{did_you_mean(name, known)}; {there}"
            )
    if sampler == "parzen":
        _check_parzen({**OWN["parzen"], **options})
    elif sampler in OPTUNA:
        make_optuna_sampler(sampler, options, 0)


def make_optuna_sampler(sampler: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return one of Optuna's samplers; errors as for `check_options`."""
    import warnings

    samplers = quiet_optuna().samplers
    # What suits this space; the user's options go over it.
    ours: dict[str, dict[str, Any]] = {
        # Candidates of the same batch do not know each other's values: spread them.
        "tpe": {"multivariate": True, "group": True, "constant_liar": True},
        "cmaes": {"warn_independent_sampling": False},
        "gp": {"deterministic_objective": False},
    }
    chosen = {**ours.get(sampler, {}), **options}
    if sampler == "tpe" and not chosen["multivariate"]:
        chosen["group"] = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that Optuna marks as experimental
            if sampler == "cmaes":
                import cmaes  # noqa: F401, Optuna's own message is a page long
            return getattr(samplers, OPTUNA[sampler])(seed=seed, **chosen)
    except ImportError as error:
        package = error.name or "a package that is missing"
        raise UsageError(
            f"the sampler '{sampler}' needs {package}: pip install 'emufort[samplers]'"
        ) from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"search.sampler_options: {sampler}: {error}") from error


def _optuna_options(sampler: str) -> set[str]:
    """Options of Optuna's sampler that a TOML file can give: numbers, flags and words."""
    function = getattr(quiet_optuna().samplers, OPTUNA[sampler]).__init__
    parameters = inspect.signature(function).parameters
    return {
        name
        for name, p in parameters.items()
        if name not in (*_RESERVED, "self")
        and (isinstance(p.default, bool | int | float | str) or name in _NUMBERS_OR_NONE)
    }


#: Options of Optuna's samplers whose default None stands for a number chosen by Optuna.
_NUMBERS_OR_NONE = ("sigma0", "popsize", "mutation_prob", "source_popsize")


def _check_parzen(options: Mapping[str, Any]) -> None:
    for name in ("startup", "candidates", "history"):
        value = options[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UsageError(f"search.sampler_options: {name} = {value!r} is no number from 1")
    gamma = options["gamma"]
    if not isinstance(gamma, int | float) or not 0 < gamma < 1:
        raise UsageError(f"search.sampler_options: gamma = {gamma!r} is not between 0 and 1")
