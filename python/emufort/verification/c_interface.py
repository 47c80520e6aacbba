"""The function that calls a generated module from C, for the driver that `verify` compiles."""

from __future__ import annotations

import shutil
from pathlib import Path

from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.c_headers import header_names, variables_of
from emufort.files import write_text
from emufort.toolchain.compiler import CompilationError, Compiler, CompilerMissing
from emufort.toolchain.flags import C_COMPILER

#: C99 without warnings, like the hosts that include the header.
_FLAGS = "-std=c99 -Wall -Wextra -pedantic -Werror -O1 -c"
#: Name of the C function.
FUNCTION = "emufort_verify_c"

_START = """\
/* Calls the generated module from C; written by emufort for `verify`. */
#include <stdlib.h>
#include <string.h>

#include "{header}"

int emufort_verify_c(int n, const double *x, double *y, const float *xs, float *ys);

/* Copy n columns of a feature by feature array, column by column. */
#define TURN(REAL)                                                                      \\
  static void turn_##REAL(int n, int width, const REAL *from, REAL *to, int is_back) {{  \\
    for (int i = 0; i < n; ++i)                                                         \\
      for (int j = 0; j < width; ++j)                                                   \\
        if (is_back)                                                                    \\
          to[i + j * n] = from[j + i * width];                                          \\
        else                                                                            \\
          to[j + i * width] = from[i + j * n];                                          \\
  }}
TURN(double)
TURN(float)
"""

_FUNCTION = """
/* Predict with either layout of the arrays. Returns 0 if both have the same bits. */
static int both_{kind}(int n, const {real} *x, {real} *y) {{
  emufort_status status;
  const size_t n_in = (size_t)n * {n_in}, n_out = (size_t)n * {n_out};
  {real} *turned = malloc(sizeof *turned * n_in), *back = malloc(sizeof *back * n_out);
  {real} *again = malloc(sizeof *again * n_out);
  int failure = 1;
  emufort_workspace *workspace = {module}_make_workspace(&status);
  if (turned && back && again && status.code == EMUFORT_SUCCESS) {{
    {module}_inputs_{kind} inputs;
    {module}_outputs_{kind} outputs;
{columns}
    failure = {module}_predict_{kind}(
        workspace, EMUFORT_COLUMNS_CONTIGUOUS, n, &inputs, &outputs, NULL, &status);
{features}
    failure |= {module}_predict_{kind}(
        NULL, EMUFORT_FEATURES_CONTIGUOUS, n, &inputs, &outputs, NULL, &status);
{backwards}
    failure |= memcmp(again, y, sizeof *y * n_out) != 0;
  }}
  emufort_free_workspace(workspace);
  free(turned);
  free(back);
  free(again);
  return failure;
}}
"""

_END = """
int emufort_verify_c(int n, const double *x, double *y, const float *xs, float *ys) {{
  if (strcmp({module}_hash(), {macro}_HASH) != 0) return 1;
  return both_f64(n, x, y) | both_f32(n, xs, ys);
}}
"""


def source(contract: Contract, module: str) -> str:
    """Return the C source of the function, which compares both layouts and precisions."""
    text = _START.format(header=header_names(module)[0])
    inputs, outputs = (
        variables_of(contract, contract.input),
        variables_of(contract, contract.output),
    )
    for kind, real in (("f64", "double"), ("f32", "float")):
        columns, features, backwards = [], [], []
        for structure, variables, arrays in (
            ("inputs", inputs, ("x", "turned")),
            ("outputs", outputs, ("y", "back")),
        ):
            start = 0
            for v in variables:
                at = f"(size_t)n * {start}"
                columns.append(f"    {structure}.{v.name} = {arrays[0]} + {at};")
                turn = f"    turn_{real}(n, {v.width}, "
                if structure == "inputs":
                    features.append(f"{turn}x + {at}, turned + {at}, 0);")
                else:
                    backwards.append(f"{turn}back + {at}, again + {at}, 1);")
                features.append(f"    {structure}.{v.name} = {arrays[1]} + {at};")
                start += v.width
        text += _FUNCTION.format(
            kind=kind,
            real=real,
            module=module,
            n_in=len(contract.input_columns),
            n_out=len(contract.output_columns),
            columns="\n".join(columns),
            features="\n".join(features),
            backwards="\n".join(backwards),
        )
    return text + _END.format(module=module, macro=module.upper())


def compiled(contract: Contract, module: str, folder: Path) -> Path | str:
    """Compile the function in `folder`, which holds the headers of the bundle.

    Returns
    -------
    Path or str
        The object file, or the reason why this machine cannot compile C.

    Raises
    ------
    EmufortError
        The header does not compile.
    """
    if shutil.which(C_COMPILER) is None:
        return f"there is no C compiler '{C_COMPILER}'"
    try:
        compiler = Compiler.find(C_COMPILER)
        write_text(folder / "empty.c", "#include <stdlib.h>\nint emufort_empty(void);\n")
        compiler.build([folder / "empty.c"], "-c", folder / "empty.o")
    except (CompilationError, CompilerMissing) as error:
        return f"the C compiler '{C_COMPILER}' does not work: {error}"
    path = folder / "verify_c.c"
    write_text(path, source(contract, module))
    try:
        return compiler.build([path], _FLAGS, folder / "verify_c.o")
    except CompilationError as error:
        raise EmufortError(f"{header_names(module)[0]} cannot be used: {error}") from error
