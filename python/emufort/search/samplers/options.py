"""Names and options of samplers, which are checked before any work starts.

Checking a name does not import Optuna.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from emufort.contract_rules import check_text
from emufort.errors import UsageError, did_you_mean
from emufort.search.samplers.cmaes_evolution import check_cmaes
from emufort.search.samplers.optuna_genetic import for_batches
from emufort.search.samplers.optuna_quiet import quiet_optuna

#: Samplers that do not use Optuna and take negligible time; name -> options with their defaults.
BUILT_IN_OPTIONS: dict[str, dict[str, Any]] = {
    "random": {},
    "qmc": {"scramble": True},
    "parzen": {"startup": 32, "gamma": 0.1, "candidates": 24, "history": 500, "aim": "front"},
    # sigma0: first standard deviation as a share of the cube's edge. popsize: candidates of a
    # generation, 0 for the size of a batch. lr_adapt: smaller steps where losses are noisy.
    "cmaes": {"sigma0": 1 / 6, "popsize": 0, "lr_adapt": False},
}
#: Other defaults where time is an objective too; users cannot set this `aim`. Fewer draws for each
#: proposed candidate spread the candidates along the front.
OPTIONS_OF_TWO: dict[str, dict[str, Any]] = {"parzen": {"aim": "objectives", "candidates": 6}}
#: Optuna's samplers; name -> class in `optuna.samplers`.
OPTUNA = {
    "tpe": "TPESampler",
    "gp": "GPSampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
}
_GENETIC = ("nsga2", "nsga3")
#: Samplers that can search for the front of skill and time, `search.objectives`.
TWO_OBJECTIVES = ("parzen", "random", "qmc", "nsga2", "nsga3")
#: Samplers that can be limited to some of the trials by the option ``history``, and its minimum.
FORGETFUL = ("tpe", "gp")
LEAST_HISTORY = 50
#: Sampler -> number of candidates from which the sampler takes more than 5 % of a run with 2,000
#: candidates per minute, and its time per candidate [ms], as measured by benchmarks/driver_cost.py.
SLOW = {"tpe": (100, "5 to 20"), "gp": (30, "500")}
#: Alternative spellings -> name of the sampler.
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
#: Options of Optuna's samplers that the search sets itself.
_RESERVED = ("seed", "constraints_func", "warn_independent_sampling")


#: Begin of the value of `search.sampler` for a sampler that is an object of the caller. The rest
#: describes the object, see `emufort.search.samplers.objects.describe`.
OBJECT = "object "


def check_object(sampler: str, given: object) -> None:
    """Raise `UsageError` if the sampler is an object of the caller and none is given.

    Parameters
    ----------
    sampler
        The value of `search.sampler`.
    given
        The object, or None.
    """
    if sampler.startswith(OBJECT) and given is None:
        what = sampler.removeprefix(OBJECT)
        raise UsageError(
            f"the search uses a sampler that is an object of Python, {what}: continue it in Python "
            "by emufort.api.run or emufort.api.search with an equal object as sampler"
        )


def sampler_name(text: str) -> str:
    """Return the canonical name of a sampler; the description of an object stays as it is.

    Raises
    ------
    UsageError
        There is no such sampler.
    """
    if text.startswith(OBJECT):
        return check_text(text)
    word = text.strip().lower()
    word = _ALIASES.get(word, word)
    if word not in BUILT_IN_OPTIONS and word not in OPTUNA:
        known = [*BUILT_IN_OPTIONS, *OPTUNA]
        raise UsageError(
            f"there is no sampler '{text}'{did_you_mean(word, [*known, *_ALIASES])}; choose from "
            f"{', '.join(known)}"
        )
    return word


def check_options(sampler: str, options: Mapping[str, Any]) -> None:
    """Check the names of a sampler's options, and that Optuna takes their values.

    Parameters
    ----------
    sampler
        Canonical name, see `sampler_name`.
    options
        Name of an option -> its value, as in the table ``search.sampler_options``.

    Raises
    ------
    UsageError
        An option is unknown, its value is impossible or the sampler's package is missing.
    """
    if sampler.startswith(OBJECT):
        if options:
            raise UsageError("search.sampler_options is not for a sampler object: it has its own")
        return
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
                f"search.sampler_options: history = {history!r} is not a whole number of at least "
                f"{LEAST_HISTORY}"
            )
        start = options.get("n_startup_trials", 0)
        if "history" in options and isinstance(start, int) and start >= history:
            raise UsageError(
                f"search.sampler_options: history = {history} must exceed n_startup_trials = "
                f"{start}, or the sampler never starts to learn"
            )
        make_optuna_sampler(sampler, options, 0)


def slowness(sampler: str, trials: int) -> str | None:
    """Return a warning if the sampler takes long for `trials` candidates, else None."""
    limit, ms = SLOW.get(sampler, (trials, ""))
    if trials <= limit:
        return None
    return (
        f"the sampler '{sampler}' takes {ms} ms for each of {trials} candidates; 'parzen' takes "
        "less than 1 ms"
    )


def make_optuna_sampler(sampler: str, options: Mapping[str, Any], seed: int) -> Any:
    """Return one of Optuna's samplers; raises the errors of `check_options`."""
    import warnings

    samplers = quiet_optuna().samplers
    # Defaults that suit this search space; the user's options take precedence.
    ours: dict[str, dict[str, Any]] = {
        # Candidates of one batch do not know each other's values; a constant liar spreads them.
        "tpe": {"multivariate": True, "group": True, "constant_liar": True},
        "gp": {"deterministic_objective": False},
    }
    chosen = {**ours.get(sampler, {}), **options}
    chosen.pop("history", None)  # an option of emufort, not of Optuna
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
    """Return the options of Optuna's sampler that a TOML file can hold: numbers, flags, words."""
    function = getattr(quiet_optuna().samplers, OPTUNA[sampler]).__init__
    parameters = inspect.signature(function).parameters
    return {
        name
        for name, p in parameters.items()
        if name not in (*_RESERVED, "self")
        and (isinstance(p.default, bool | int | float | str) or name in _NUMBERS_OR_NONE)
    }


#: Options of Optuna's samplers that a TOML file can hold although their default is None.
_NUMBERS_OR_NONE = ("multivariate", "mutation_prob")


def _check_number(name: str, value: Any, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise UsageError(
            f"search.sampler_options: {name} = {value!r} is not a whole number of at least {lowest}"
        )


def _check_cmaes(options: Mapping[str, Any]) -> None:
    _check_number("popsize", options["popsize"], 0)
    if options["popsize"] in (1, 2, 3):
        raise UsageError("search.sampler_options: popsize is at least 4, or 0 for the batch size")
    sigma = options["sigma0"]
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0 < sigma <= 1:
        raise UsageError(
            f"search.sampler_options: sigma0 = {sigma!r} is not a share of the space's width, "
            "above 0 and at most 1"
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
