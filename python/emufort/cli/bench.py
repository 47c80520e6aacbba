"""The command that compares the speed of inference with other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emufort import signals
from emufort.cli.options import Quiet
from emufort.errors import UsageError


def bench(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path(
        "runs/bench"
    ),
    bundle: Annotated[Path | None, typer.Option(help="Also measure this bundle.")] = None,
    original: Annotated[
        list[Path] | None,
        typer.Option(
            help="Original of an imported bundle for the other contenders: an .onnx file, a .pt2 "
            "file; repeatable."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Take seconds only; for tests.")] = False,
    models: Annotated[
        str | None, typer.Option(help="Models, such as S,M,L,call-64,call-32,bundle.")
    ] = None,
    contenders: Annotated[
        str | None, typer.Option(help="Contenders, such as native-network,torch.")
    ] = None,
    ncol: Annotated[str | None, typer.Option(help="Columns per call, such as 1,16,1152.")] = None,
    threads: Annotated[
        str | None, typer.Option(help="Threads, such as 1,0; 0 means all cores.")
    ] = None,
    repeats: Annotated[int | None, typer.Option(help="Number of rounds.")] = None,
    compiler: Annotated[str | None, typer.Option(help="Fortran compiler.")] = None,
    second_compiler: Annotated[
        str | None, typer.Option(help="Second Fortran compiler, for comparison.")
    ] = None,
    flags: Annotated[str | None, typer.Option(help="Compiler flags for the runtime.")] = None,
    blas: Annotated[Path | None, typer.Option(help="BLAS library that provides sgemm.")] = None,
    update: Annotated[
        list[Path] | None, typer.Option(help="Markdown file with tables to replace; repeatable.")
    ] = None,
    from_: Annotated[
        Path | None, typer.Option("--from", help="Show this bench.json without measuring.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Compare the inference speed of emufort with other libraries."""
    from emufort.benchmark import Options, Result
    from emufort.benchmark import display as tables
    from emufort.benchmark import run as measure
    from emufort.benchmark.markdown import update_document
    from emufort.benchmark.run import TITLES

    if from_ is not None:
        result = Result.read(from_)
    else:
        from emufort.run.step_display import progress

        signals.advise("the same command starts the measurement again")
        options = (Options.quick() if quick else Options()).changed(
            bundle=bundle,
            originals=tuple(original) if original else None,
            models=_words(models),
            contenders=_words(contenders),
            ncol=_integers("--ncol", ncol),
            threads=_integers("--threads", threads),
            repeats=repeats,
            compiler=compiler,
            second_compiler=second_compiler,
            flags=flags,
            blas=blas,
        )
        with progress(TITLES) as shown:
            result = measure(options, out, signals.checked(shown.following()))
    tables.show(result)
    if from_ is None:
        typer.echo(f"{out} holds bench.csv, bench.json, bench.md and bench.png")
    for document in update or ():
        update_document(result, document)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(w.strip() for w in text.split(",") if w.strip())


def _integers(option: str, text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} must be whole numbers between commas, not '{text}'") from error
