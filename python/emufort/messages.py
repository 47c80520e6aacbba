"""Errors of pydantic and of other libraries as one line."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from emufort.errors import did_you_mean

#: Most characters of a message from another library.
_LONGEST_MESSAGE = 400


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first error of pydantic as one line, with the nearest valid key."""
    first = error.errors()[0]
    # If a type has alternatives, pydantic reports an error for each, such as "tuple[float, float]".
    # The alternative that fits most of the value is assumed.
    names = [i for i, part in enumerate(first["loc"]) if "[" in str(part)]
    if names:
        same = [e for e in error.errors() if e["loc"][: names[0]] == first["loc"][: names[0]]]
        first = max(same, key=lambda e: len(e["loc"]))
    place = one_line(".".join(str(part) for part in first["loc"] if "[" not in str(part)))
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        return f"unknown key '{place}'{did_you_mean(key, _known_keys(model, first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"the key '{place}' is missing"
    message = one_line(first["msg"].removeprefix("Value error, "))
    message = re.sub(r"a valid dictionary( or instance of \w+)?", "a table", message)
    message = message.replace("valid tuple", "list").replace("Tuple", "List")
    return f"{place}: {message}" if place else message


def one_line(message: object) -> str:
    """Return a message of another library as one line of limited length."""
    text = " ".join(str(message).split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 4] + " ..."


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of `model` at `place`, following nested models."""
    current: Any = model
    for part in place:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part)
        if field is None:
            return []
        current = _model_in(field.annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
