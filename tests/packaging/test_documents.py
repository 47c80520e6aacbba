"""What documents name exists: commands, options, configuration keys, files, targets, variables."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from emufort.cli import app
from emufort.config import Config

TOP = Path(__file__).resolve().parents[2]
DOCUMENTS = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
#: Options that documents name beside emufort's and those of its scripts, with what has them.
FOREIGN = {
    "--flag": "fpm",
    "--compiler": "fpm",
    "--prefix": "cmake",
    "--cflags": "pkg-config",
    "--libs": "pkg-config",
    "--variable": "pkg-config",
}
#: Folders of the repository that documents name files of.
FOLDERS = ("benchmarks", "coupling", "data_prep", "docs", "fortran", "python", "tests")

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code(text: str) -> list[str]:
    """Return all pieces of code: blocks (fenced or indented) and words between backticks."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    indented = re.findall(r"^    .*$", rest, re.M)
    inline = re.findall(r"`([^`]+)`", rest)
    return [*fenced, *indented, *(" ".join(piece.split()) for piece in inline)]


@cache
def commands() -> dict[str, set[str]]:
    """Return the options of each command of emufort; those before a command under ``""``."""
    group: Any = typer.main.get_command(app)
    found = {name: options_of(command) for name, command in group.commands.items()}
    return {"": options_of(group), **found}


def options_of(command: Any) -> set[str]:
    names = {"--help"}
    for parameter in command.params:
        names |= {*parameter.opts, *parameter.secondary_opts}
    return names


def lines(document: Path) -> list[str]:
    """Return the lines of code of a document, continued lines joined, comments cut off."""
    joined = "\n".join(code(document.read_text())).replace("\\\n", " ")
    return [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]


def calls(document: Path) -> list[list[str]]:
    """Return the words after ``emufort`` of every command line."""
    found = []
    for line in lines(document):
        match = re.match(r"(?:\S*/)?emufort(\s+[^=\s].*)?$", line.removeprefix("$ "))
        if match and match[1]:
            try:
                found.append(shlex.split(match[1].replace("[", "").replace("]", "")))
            except ValueError:
                continue
    return found


@documents
def test_commands_and_their_options_exist(document: Path) -> None:
    for words in calls(document):
        before = [word for word in words if word in commands()]
        name = before[0] if before else ""
        assert name or words[0].startswith("-") or words[0] == "...", f"emufort {' '.join(words)}"
        for word in words:
            option = word.partition("=")[0]
            if option.startswith("--"):
                assert option in commands()[name] | commands()[""], f"emufort {' '.join(words)}"


@documents
def test_options_that_are_named_alone_exist(document: Path) -> None:
    scripts = {
        *re.findall(r"--[a-z][a-z-]+", "".join(source.read_text() for source in python_scripts())),
        *(f"--{name.replace('_', '-')}" for name in parameters_of_scripts()),
    }
    known = set().union(*commands().values()) | scripts | set(FOREIGN)
    for piece in code(document.read_text()):
        if piece.startswith("--"):
            assert piece.split()[0].partition("=")[0] in known, piece


def python_scripts() -> list[Path]:
    folders = (
        TOP / "benchmarks",
        TOP / "data_prep",
        TOP / "coupling/aerosol_activation",
    )
    return [path for folder in folders for path in folder.rglob("*.py")]


def parameters_of_scripts() -> set[str]:
    """Return the names of typer's parameters in the scripts: options unless named otherwise."""
    text = "".join(source.read_text() for source in python_scripts())
    return set(re.findall(r"^    (\w+): Annotated\[", text, re.M))


def keys(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Return the keys of a section, with the section that a key holds."""
    return {
        name: kind if isinstance(kind := field.annotation, type) and issubclass(kind, BaseModel)
        else None
        for name, field in model.model_fields.items()
    }  # fmt: skip


def check_key(path: list[str]) -> None:
    section: type[BaseModel] | None = Config
    for depth, name in enumerate(path):
        if section is None:
            return  # a table of free content, such as the options of a sampler
        assert name in keys(section), f"no key {'.'.join(path[: depth + 1])}"
        section = keys(section)[name]


def check_table(table: dict[str, object], path: list[str]) -> None:
    for name, value in table.items():
        check_key([*path, name])
        if isinstance(value, dict):
            check_table(value, [*path, name])


@documents
def test_configuration_keys_exist(document: Path) -> None:
    text = document.read_text()
    sections = {name for name, kind in keys(Config).items() if kind is not None}
    blocks = [*re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S), *indented_toml(text)]
    for block in blocks:
        table = tomllib.loads(block)
        if table.keys() & sections:
            check_table(table, [])
    pattern = rf"`({'|'.join(sections)})((?:\.[a-z_0-9]+)+)(?:`| =)"
    for section, rest in re.findall(pattern, re.sub(r"\s+", " ", text)):
        if rest.rpartition(".")[2] not in ("csv", "json", "journal", "png", "svg", "py", "md"):
            check_key([section, *rest.strip(".").split(".")])


def indented_toml(text: str) -> list[str]:
    """Return indented blocks that begin with a table of TOML."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M)
    blocks = [re.sub(r"^    ", "", block, flags=re.M).strip() for block in found]
    return [block for block in blocks if re.match(r"\[[a-z.]+\]\n", block)]


@documents
def test_files_of_the_repository_exist(document: Path) -> None:
    text = document.read_text()
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in link:
            assert (document.parent / link).exists(), link
    pattern = rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[a-z_][\w./-]*\w/?"
    for piece in code(text):
        for name in re.findall(pattern, piece):
            assert (TOP / name).exists(), name


def sections(document: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@documents
def test_sections_that_are_linked_exist(document: Path) -> None:
    for page, section in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", document.read_text()):
        if "://" not in page:
            target = (document.parent / page) if page else document
            assert section in sections(target), f"{page}#{section}"


def test_the_index_links_every_page() -> None:
    index = (TOP / "docs" / "README.md").read_text()
    for page in DOCUMENTS[1:]:
        if page.name != "README.md":
            link = os.path.relpath(page, TOP / "docs")
            assert f"({link})" in index, link


@documents
def test_python_modules_that_are_run_exist(document: Path) -> None:
    for name in re.findall(r"python -m ((?:benchmarks|emufort)[\w.]*)", document.read_text()):
        path = TOP / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


@documents
def test_targets_of_make_exist(document: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.M)
    for line in lines(document):
        match = re.match(r"make ([a-z]+)\b(?!=)", line)
        if match:
            assert match[1] in targets, line


@documents
def test_extras_exist(document: Path) -> None:
    extras = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in re.findall(r"(?:emufort|\.)\[([a-z,-]+)\]", document.read_text()):
        assert set(names.split(",")) <= set(extras), names


@documents
def test_environment_variables_exist(document: Path) -> None:
    places = ("CMakeLists.txt", "Makefile", *(name for name in FOLDERS if name != "docs"))
    sources = [TOP / place for place in places if (TOP / place).exists()]
    for name in set(re.findall(r"EMUFORT_[A-Z_0-9]+", document.read_text())):
        done = subprocess.run(
            ["grep", "-rqw", name, *map(str, sources)],
            check=False,
        )
        assert done.returncode == 0, name


def measured(document: Path) -> str:
    """Return what scripts wrote into a document: the text between their markers."""
    return "\n".join(re.findall(r"<!-- [\w ]+: begin.*?-->(.*?)<!--", document.read_text(), re.S))


def test_figures_of_the_readme_stand_in_the_tables_that_it_links() -> None:
    text = (TOP / "README.md").read_text()
    (section,) = re.findall(r"^## Five figures\n(.*?)^## ", text, re.M | re.S)
    figures = re.findall(r"^- (.*?)\(\[[^]]*\]\(([\w/.]+)#", section, re.M | re.S)
    assert len(figures) == 5
    for sentence, page in figures:
        tables = measured(TOP / page)
        for number in re.findall(r"(?<![\w-])\d+(?:\.\d+)?(?=x|\s|,|;|$)(?!-)", sentence):
            assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", tables), (page, number)


def test_what_is_not_there_would_be_noticed(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "`emufort run --no-such-option`, `emufort trian`, `emufort[no]`, `search.trails`,\n"
        "`make tests`, `python/emufort/absent.py`, `--no-such`, `EMUFORT_NO_" + "SUCH`,\n"
        "`python -m benchmarks.absent`, [a section](#absent)\n"
    )
    checks = (
        *(test_commands_and_their_options_exist, test_options_that_are_named_alone_exist),
        *(test_configuration_keys_exist, test_files_of_the_repository_exist),
        *(test_targets_of_make_exist, test_extras_exist, test_environment_variables_exist),
        *(test_python_modules_that_are_run_exist, test_sections_that_are_linked_exist),
    )
    for check in checks:
        with pytest.raises(AssertionError):
            check(document)
