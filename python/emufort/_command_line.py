"""How the command line reads its options: an option with one value is given once."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """A command that refuses an option with one value that is given twice.

    Otherwise the last of them would count, and ``--data a.nc --data b.nc`` would use b.nc alone.
    """

    def make_parser(self, ctx: Any) -> Any:
        """Return the parser of the command's arguments."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            found = parse(args=args)
            order = found[2]
            for parameter in self.params:
                is_option = parameter.param_type_name == "option"
                if is_option and not parameter.multiple and order.count(parameter) > 1:
                    ctx.fail(f"{parameter.opts[0]} is given more than once and takes one value")
            return found

        parser.parse_args = parse_once
        return parser


class OnceTyper(typer.Typer):
    """A command line all of whose commands are `OnceCommand`."""

    def command(self, *args: Any, **options: Any) -> Any:
        """Do what `typer.Typer.command` does."""
        return super().command(*args, **{"cls": OnceCommand, **options})
