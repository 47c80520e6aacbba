"""No import circles, no private modules shared, short files, and names that tell."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PACKAGE

TOP = Path(__file__).resolve().parents[2]
CODE = [TOP / name for name in ("python", "benchmarks", "data_prep", "coupling", "examples")]

#: Third-party packages that take long to import, or that not every installation has.
HEAVY = {
    *("matplotlib", "netCDF4", "numpy", "onnx", "onnxruntime", "optuna", "pydantic", "scipy"),
    *("cmaes", "dask", "distributed", "jinja2", "safetensors", "torch", "xarray"),
}
#: Modules that import others inside their functions, so that a command or a call loads only what it
#: uses: command line, API, steps and checks.
FRONT = ("__main__", "api", "checks", "cli", "run", "steps")

MOST_LINES = 500

#: Words that say nothing about what they name, whichever words stand beside them.
PRONOUNS = {"everything", "felt", "its", "nobody", "own", "there"}
#: Words that say nothing when they stand alone.
VAGUE = {"many", "parts", "reach", "storage", "stored", "tasks", "work", "workbench"}


@dataclass(frozen=True)
class Module:
    """A Python module, and what it imports.

    Attributes
    ----------
    name
        Dotted name.
    at_import, later
        Dotted names imported when the module is, and inside functions; not for type checking alone.
    """

    name: str
    at_import: frozenset[str]
    later: frozenset[str]


def modules_of(root: Path, package: str) -> dict[str, Module]:
    """Return the modules of a package in the folder `root` by name.

    Names imported of a module count as that module, and as ``module.name`` if that is a module.
    """
    found = {}
    paths = {
        ".".join(p.relative_to(root).with_suffix("").parts): p
        for p in (root / package).rglob("*.py")
    }
    paths = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    for name, path in paths.items():
        tree = ast.parse(path.read_text())
        home = name if path.name == "__init__.py" else name.rpartition(".")[0]
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        imports: dict[bool, set[str]] = {False: set(), True: set()}
        for node in without_type_checking(tree):
            for target in targets(node, home):
                known = target in paths or target.rpartition(".")[0] not in paths
                imports[id(node) in inside].add(target if known else target.rpartition(".")[0])
        found[name] = Module(name, frozenset(imports[False]), frozenset(imports[True]))
    return found


def without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    """Go through all nodes except those below ``if TYPE_CHECKING``."""
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from without_type_checking(child)


def targets(node: ast.AST, package: str) -> list[str]:
    """Return the dotted names that a node imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def parents(name: str) -> list[str]:
    """Return the packages that a module is in, whose ``__init__`` runs before it."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def needs(modules: dict[str, Module], module: Module, also_later: bool) -> set[str]:
    """Return the modules that one needs, those of the packages they are in included."""
    imported = module.at_import | (module.later if also_later else frozenset())
    names = {n for target in imported for n in (target, *parents(target))}
    return {n for n in names if n in modules and n not in (module.name, *parents(module.name))}


def circles(modules: dict[str, Module]) -> list[list[str]]:
    """Return groups of modules that need each other (strongly connected, Tarjan 1972)."""
    graph = {name: sorted(needs(modules, module, True)) for name, module in modules.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            at = stack.index(name)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for name in graph:
        if name not in index:
            visit(name)
    return found


def heavy_packages(modules: dict[str, Module], name: str) -> set[str]:
    """Return the heavy packages that are imported with a module."""
    seen: set[str] = set()
    waiting = [name, *parents(name)]
    heavy = set()
    while waiting:
        one = waiting.pop()
        if one in seen or one not in modules:
            continue
        seen.add(one)
        heavy |= {target.partition(".")[0] for target in modules[one].at_import} & HEAVY
        waiting += needs(modules, modules[one], False)
    return heavy


def light_imports_inside_functions(modules: dict[str, Module]) -> set[tuple[str, str]]:
    """Return (module, imported) of what is imported inside functions without need."""
    return {
        (name, target)
        for name, module in modules.items()
        if name.partition(".")[2].partition(".")[0] not in FRONT
        for target in module.later
        if target in modules and not heavy_packages(modules, target) - heavy_packages(modules, name)
    }


def private_imports(modules: dict[str, Module]) -> set[tuple[str, str]]:
    """Return (module, imported) of private modules, which begin with an underscore."""
    return {
        (name, target)
        for name, module in modules.items()
        for target in needs(modules, module, True)
        if target.rpartition(".")[2].startswith("_")
    }


def sources(suffix: str, folders: Sequence[Path]) -> list[Path]:
    """Return the files of git's kind of interest: no hidden and no built ones."""
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob(f"*{suffix}"))
        if not {"build", "_fortran", "__pycache__"} & set(path.relative_to(TOP).parts)
    ]


def long_files(paths: Sequence[Path]) -> set[str]:
    """Return the files that are too long; generated ones say "do not edit" in their first lines."""
    found = set()
    for path in paths:
        lines = path.read_text().splitlines()
        if len(lines) > MOST_LINES and "do not edit" not in " ".join(lines[:5]):
            found.add(str(path.relative_to(TOP)))
    return found


def says_nothing(name: str) -> bool:
    """Whether a name of a module, a class or a function does not tell what it is."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")
    plain = plain.removeprefix("emufort_")
    return plain in VAGUE or bool(set(plain.split("_")) & PRONOUNS)


def names_of_python(path: Path) -> Iterator[str]:
    """Yield the names of a module, of its classes and of its functions that are no methods."""
    yield path.stem
    tree = ast.parse(path.read_text())
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    yield from (node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def names_of_fortran(path: Path) -> list[str]:
    """Return the names of modules, types and procedures."""
    kinds = r"module|program|subroutine|function"
    text = re.sub(r"!.*", "", path.read_text())
    found = re.findall(rf"^\s*end (?:{kinds}|type) (\w+)", text, re.M | re.I)
    return [str(name) for name in found]


# ---------------------------------------------------------------------------- imports


@pytest.fixture(scope="module")
def emufort() -> dict[str, Module]:
    return modules_of(TOP / "python", "emufort")


@pytest.fixture(scope="module")
def benchmarks() -> dict[str, Module]:
    return modules_of(TOP, "benchmarks")


def test_modules_import_each_other_in_no_circle(
    emufort: dict[str, Module], benchmarks: dict[str, Module]
) -> None:
    assert circles(emufort) == []
    assert circles(benchmarks) == []


def test_only_heavy_modules_are_imported_inside_functions(emufort: dict[str, Module]) -> None:
    assert light_imports_inside_functions(emufort) == set()


def test_no_module_imports_a_private_one(
    emufort: dict[str, Module], benchmarks: dict[str, Module]
) -> None:
    assert private_imports(emufort) == set()
    assert private_imports(benchmarks) == set()


@pytest.mark.parametrize("words", [["-c", "import emufort"], ["-m", "emufort", "--help"]])
def test_the_command_starts_without_heavy_packages(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words],
        capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PACKAGE},
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "emufort" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


# ------------------------------------------------------------------- files and names


def test_files_are_short() -> None:
    python = sources(".py", [*CODE, TOP / "tests"])
    fortran = sources(".F90", [*CODE, TOP / "fortran", TOP / "tests"])
    assert len(python) > 200 and len(fortran) > 50
    assert long_files([*python, *fortran]) == set()


def test_names_tell_what_they_name() -> None:
    found = {
        f"{path.relative_to(TOP)}: {name}"
        for path in sources(".py", CODE)
        for name in names_of_python(path)
        if says_nothing(name)
    } | {
        f"{path.relative_to(TOP)}: {name}"
        for path in sources(".F90", [*CODE, TOP / "fortran"])
        for name in names_of_fortran(path)
        if says_nothing(name)
    }
    assert found == set()


# --------------------------------------------------------- what is wrong would be noticed


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a circle through a function and the ``__init__`` of a subpackage."""
    files = {
        "pond/__init__.py": "",
        "pond/deep/__init__.py": "from pond.deep.water import depth\n",
        "pond/deep/water.py": "import numpy\n\nfrom pond import shore\n\ndepth = shore\n",
        "pond/deep/mud.py": "",
        "pond/shore.py": "def walk():\n    from pond.deep import mud\n\n    return mud\n",
        "pond/_reeds.py": "import os\n",
        "pond/view.py": "from typing import TYPE_CHECKING\n\nfrom . import _reeds\n\n"
        "if TYPE_CHECKING:\n    from pond import far\n\n"
        "def look():\n    from pond import _reeds as more\n\n    return more\n",
        "pond/far.py": "from pond.view import look\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_circle_is_found_also_through_functions_and_packages(package: Path) -> None:
    modules = modules_of(package, "pond")
    assert circles(modules) == [["pond.deep", "pond.deep.water", "pond.shore"]]


def test_private_and_needless_imports_are_found(package: Path) -> None:
    modules = modules_of(package, "pond")
    assert private_imports(modules) == {("pond.view", "pond._reeds")}
    # What is imported in `walk` brings numpy with it, what is imported in `look` nothing.
    assert light_imports_inside_functions(modules) == {("pond.view", "pond._reeds")}


@pytest.mark.parametrize(
    ("name", "nothing"),
    [
        ("parts", True), ("Workbench", True), ("emufort_parts", True), ("felt", True),
        ("own_inputs", True), ("Nobody", True), ("keras_is_there", True), ("_work", True),
        ("StorageError", False), ("network", False), ("townhouse", False),
        ("training_tasks", False),
    ],
)  # fmt: skip
def test_names_that_say_nothing_are_found(name: str, nothing: bool) -> None:
    assert says_nothing(name) is nothing
