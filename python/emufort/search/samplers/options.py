"""Names and options of samplers; checked before any work, without importing Optuna for names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from emufort.errors import UsageError, did_you_mean
from emufort.search.samplers.cmaes_evolution import check_cmaes
from emufort.search.samplers.optuna_genetic import for_batches
from emufort.search.samplers.optuna_quiet import quiet_optuna

#: Samplers that need no Optuna and cost next to nothing; name -> options with their defaults.
BUILT_IN_OPTIONS: dict[str, dict[str, Any]] = {
    "random": {},
    "qmc": {"scramble": True},
    "parzen": {"startup": 32, "gamma": 0.1, "candidates": 24, "history": 500, "aim": "front"},
    # First standard deviation as a share of the cube's edge; candidates of a generation, 0 for as
    # many as are asked for at once; smaller steps where losses are noisy.
    "cmaes": {"sigma0": 1 / 6, "popsize": 0, "lr_adapt": False},
}
#: Optuna's samplers; name -> class in `optuna.samplers`.
OPTUNA = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
}
_GENETIC = ("nsga2", "nsga3")
#: Samplers that may be told of some of the trials only: the option ``history``, from so many.
FORGETFUL = ("tpe", "gp")
LEAST_HISTORY = 50
#: Sampler -> candidates from which it takes more than 5 % of a run of 2,000 candidates per minute,
#: and what it then takes for each in ms, as measured by benchmarks/driver_cost.py.
SLOW = {"tpe": (100, "5 to 20"), "gp": (30, "500")}
#: Other ways to say it.
_ALIASES = {
    "randomsampler": "random",
    "qmcsampler": "qmc",
    "sobol": "qmc",
    "cma-es": "cmaes",
    "cma_es": "cmaes",
    "cma": "cmaes",
    "cmaessampler": "cmaes",
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
    if word not in BUILT_IN_OPTIONS and word not in OPTUNA:
        known = [*BUILT_IN_OPTIONS, *OPTUNA]
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
    known = (
        list(BUILT_IN_OPTIONS[sampler])
        if sampler in BUILT_IN_OPTIONS
        else sorted(_optuna_options(sampler))
    )
    if sampler in FORGETFUL:
        known.append("history")
    for name in options:
        if name not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(
                f"search.sampler_options: the sampler '{sampler}' has no option '{name}'"
                f"{did_you_mean(name, known)}; {there}"
            )
    if sampler == "parzen":
        _check_parzen({**BUILT_IN_OPTIONS["parzen"], **options})
    elif sampler == "cmaes":
        _check_cmaes({**BUILT_IN_OPTIONS["cmaes"], **options})
        check_cmaes()
    elif sampler in OPTUNA:
        history = options.get("history", LEAST_HISTORY)
        if not isinstance(history, int) or isinstance(history, bool) or history < LEAST_HISTORY:
            raise UsageError(
                f"search.sampler_options: history = {history!r} is no number from {LEAST_HISTORY}"
            )
        start = options.get("n_startup_trials", 0)
        if "history" in options and isinstance(start, int) and start >= history:
            raise UsageError(
                f"search.sampler_options: with history = {history} the sampler never knows the "
                f"n_startup_trials = {start} that it waits for"
            )
        make_optuna_sampler(sampler, options, 0)


def slowness(sampler: str, trials: int) -> str | None:
    """Return a line of warning if the sampler takes long for so many candidates, else None."""
    limit, ms = SLOW.get(sampler, (trials, ""))
    if trials <= limit:
        return None
    return (
        f"the sampler '{sampler}' itself takes {ms} ms for each of {trials} candidates; 'parzen' "
        "takes 1 ms"
    )


def make_optuna_sampler(sampler: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return one of Optuna's samplers; errors as for `check_options`."""
    import warnings

    samplers = quiet_optuna().samplers
    # What suits this space; the user's options go over it.
    ours: dict[str, dict[str, Any]] = {
        # Candidates of the same batch do not know each other's values: spread them.
        "tpe": {"multivariate": True, "group": True, "constant_liar": True},
        "gp": {"deterministic_objective": False},
    }
    chosen = {**ours.get(sampler, {}), **options}
    chosen.pop("history", None)  # ours
    if sampler == "tpe" and not chosen["multivariate"]:
        chosen["group"] = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that Optuna marks as experimental
            kind = OPTUNA[sampler]
            found = for_batches(kind) if sampler in _GENETIC else getattr(samplers, kind)
            return found(seed=seed, **chosen)
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


#: Options of Optuna's samplers whose default None stands for a choice of Optuna's.
_NUMBERS_OR_NONE = ("multivariate", "mutation_prob")


def _check_number(name: str, value: Any, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise UsageError(f"search.sampler_options: {name} = {value!r} is no number from {lowest}")


def _check_cmaes(options: Mapping[str, Any]) -> None:
    _check_number("popsize", options["popsize"], 0)
    if options["popsize"] in (1, 2, 3):
        raise UsageError("search.sampler_options: popsize is at least 4, or 0 for the batch")
    sigma = options["sigma0"]
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 < sigma <= 1:
        raise UsageError(
            f"search.sampler_options: sigma0 = {sigma!r} is no share of the space's width"
        )
    if not isinstance(options["lr_adapt"], bool):
        raise UsageError("search.sampler_options: lr_adapt is true or false")


def _check_parzen(options: Mapping[str, Any]) -> None:
    for name in ("startup", "candidates", "history"):
        _check_number(name, options[name], 1)
    gamma = options["gamma"]
    if not isinstance(gamma, int | float) or not 0 < gamma < 1:
        raise UsageError(f"search.sampler_options: gamma = {gamma!r} is not between 0 and 1")
    if options["aim"] not in ("front", "loss"):
        raise UsageError(
            f"search.sampler_options: aim = {options['aim']!r} is neither 'front' (the best "
            "networks of every cost) nor 'loss'"
        )
