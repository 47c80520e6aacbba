"""Runs the command line once for each line of standard input, a JSON list of arguments.

Answers each with a line of JSON: exit code and all that went to standard error, also from libraries
in C. A worker that dies leaves the line unanswered.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

from emufort import cli


def answer(arguments: list[str]) -> dict[str, object]:
    """Carry out one command with its output in files."""
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv = ["emufort", *arguments]
        try:
            cli.main()
            code: object = 0
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for place, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, place)
                os.close(descriptor)
        err.seek(0)
        return {"code": code, "stderr": err.read().decode(errors="replace")}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
