"""Command classes that refuse repeated options, unless an option takes several values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

_Function = TypeVar("_Function", bound=Callable[..., Any])


class OnceCommand(TyperCommand):
    """A command that refuses a repeated option if the option takes one value.

    Otherwise the last value would be used: ``--data a.nc --data b.nc`` would use only b.nc.
    """

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser of the command's arguments."""
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            found = parse(args=args)
            order = found[2]
            for parameter in self.params:
                many = parameter.multiple or getattr(parameter, "is_flag", False)
                is_option = parameter.param_type_name == "option"
                if is_option and not many and order.count(parameter) > 1:
                    ctx.fail(f"{parameter.opts[0]} is given more than once but takes one value")
            return found

        parser.parse_args = parse_once
        return parser


class OnceTyper(typer.Typer):
    """A command line whose commands are all `OnceCommand`."""

    def command(  # type: ignore[override]  # fewer arguments than the base class
        self, name: str | None = None, **options: Any
    ) -> Callable[[_Function], _Function]:
        """Do what `typer.Typer.command` does."""
        return super().command(name, **{"cls": OnceCommand, **options})
