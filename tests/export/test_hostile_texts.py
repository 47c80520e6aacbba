"""A contract full of hostile texts: its bundle and report say them, and nothing is executed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest
import tomli_w
import xarray as xr
from markdown_it import MarkdownIt

from emufort.cli import execute
from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError, UsageError
from emufort.export import Bundle, export
from emufort.export.fortran import fortran_source
from emufort.export.host import write_host
from emufort.export.render import render
from emufort.files import json_text
from emufort.report import write_report
from emufort.runtime.loaded import load
from emufort.verification import verify
from tests.export.emulators import random_emulator
from tests.report.folders import run_folder

#: Each ends a literal, comment, cell or line somewhere, and then does something.
TITLE = (
    "Pond execute_process(COMMAND touch sentinel) from /data/*.nc $(shell touch sentinel)"
    " `touch sentinel` <script>touch()</script> | ${HOME} [a](https://x.org) 'x' \"y\" $\\frac{ \\"
)
LABELS = (
    "aitken\\",
    "a|b<b>",
    "from /data/*.nc",
    'it\'s "x"; & [[1]] $\\frac{',
    "[red]x[/red]",
    "雪",
)
LONG_NAME = "number error stop 'x' <img src=x onerror=alert(1)> | `a` /* " + "long " * 60 + "\\"
UNITS = "m|<i>$\\frac{ s-1\\"
BASELINE = "**B** | <b> $\\frac{ \\"
#: A title that a contract file may not have, but an emulator made in Python may.
LINES = "Pond\nexecute_process(COMMAND touch sentinel)\n  error stop 'x'\r\n#define real\n \\\n"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.from_dict(
        {
            "name": "pond",
            "title": TITLE,
            "dimensions": {"mode|`<b>": list(LABELS)},
            "input": [
                {
                    "name": "radius",
                    "long_name": LONG_NAME,
                    "units": UNITS,
                    "dimension": "mode|`<b>",
                },
                {"name": "depth", "units": "[red]m", "range": [0.0, 1.0]},
            ],
            "parameter": [{"name": "breadth", "long_name": LONG_NAME, "values": [1.0]}],
            "output": [{"name": "rate", "units": UNITS, "dimension": "mode|`<b>"}],
            "baseline": [{"name": BASELINE, "variable": "b", "gives": "rate"}],
        }
    )


@pytest.fixture(scope="module")
def data(contract: Contract) -> Dataset:
    rng = np.random.default_rng(1)
    x = rng.uniform(0.0, 1.0, (700, len(LABELS) + 1))
    y = x[:, :-1] * x[:, -1:] + 1.0
    split = np.repeat([0, 1, 2], [500, 100, 100]).astype(np.int8)
    source = Path("data|`<b>\n.nc")
    return Dataset(contract, source, "ab" * 32, x, y, split, np.arange(700), {BASELINE: 1.1 * y})


@pytest.fixture(scope="module")
def bundle(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    emulator = random_emulator(data.contract, (8,), "tanh")
    return export(emulator, data, tmp_path_factory.mktemp("hostile") / "bundle")


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(cwd.rglob("sentinel"))
    return done.stdout


@pytest.mark.parametrize("compiler", ["gfortran", "flang-22"])
def test_the_module_compiles(bundle: Bundle, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    run(compiler, "-O0", "-c", bundle.runtime_source, cwd=tmp_path)
    run(compiler, "-O0", "-pedantic", "-Werror", "-c", bundle.module_source, cwd=tmp_path)
    text = bundle.module_source.read_text()
    assert text.isascii() and max(map(len, text.splitlines())) <= 132
    assert "aitken\\, a|b<b>, from /data/ *.nc, it's" in text


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs a Fortran compiler")
def test_cmake_configures_and_runs_nothing(bundle: Bundle, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    run("cmake", "-S", source, "-B", "build", "-DCMAKE_Fortran_FLAGS=-O0", cwd=tmp_path)
    first = (source / "CMakeLists.txt").read_text().splitlines()[0]
    assert first == f"# pond_emulator: {' '.join(TITLE.split())}."


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
@pytest.mark.skipif(shutil.which("gfortran") is None, reason="needs a Fortran compiler")
def test_a_title_of_several_lines_stays_in_its_comment(bundle: Bundle, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    contract = bundle.manifest.contract.model_copy(update={"title": LINES})
    module = fortran_source(random_emulator(contract, (8,), "tanh"), bundle.hash)
    (source / bundle.module_source.name).write_text(module)
    values = {"version": "1", "hash": bundle.hash, "runtime_sha256": "0" * 64, "form": "numbers"}
    cmake = render("CMakeLists.txt.j2", title=LINES, module=bundle.module_name, **values)
    (source / "CMakeLists.txt").write_text(cmake)
    run("cmake", "-S", source, "-B", "build", "-DCMAKE_Fortran_FLAGS=-O0", cwd=tmp_path)
    run("cmake", "--build", "build", cwd=tmp_path)


def test_onnx_and_manifest_say_the_texts(bundle: Bundle, contract: Contract) -> None:
    model = onnx.load(bundle.onnx)
    assert model.doc_string == TITLE
    properties = {p.key: p.value for p in model.metadata_props}
    assert Contract.from_dict(json.loads(properties["contract"])) == contract
    assert [c["label"] for c in json.loads(properties["outputs"])] == list(LABELS)
    assert bundle.manifest.contract == contract


@pytest.mark.slow
def test_every_form_agrees(bundle: Bundle) -> None:
    assert load(bundle.path, backend="onnxruntime").contract.title == TITLE
    verified = verify(bundle.path, rows=200)
    assert verified.passed
    forms = [c.name for c in verified.comparisons if not c.skipped]
    assert len(forms) >= 2


class Reader(HTMLParser):
    """Gathers tags, with the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attributes)
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts[self.tags[-1]][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")
        self.texts.setdefault(f"/{tag}", []).append("")


def test_the_model_card_has_its_tables_and_no_tags(bundle: Bundle) -> None:
    card = (bundle.path / "MODEL_CARD.md").read_text()
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(card)
    kinds = {token.type for token in tokens}
    kinds |= {child.type for token in tokens for child in token.children or ()}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "em_open", "list_item"}
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert headings == ["pond", *re.findall(r"^## (.*)$", card, re.MULTILINE)]
    table = None
    for token in tokens:
        if token.type == "table_open":
            table = []
        elif token.type == "tr_open" and table is not None:
            table.append(0)
        elif token.type in ("td_open", "th_open") and table:
            table[-1] += 1
        elif token.type == "table_close" and table is not None:
            assert len(set(table)) == 1
    page = Reader(reader.render(card))
    assert " ".join(TITLE.split()) in page.texts["p"][0]
    cells = page.texts["td"]
    assert UNITS in cells
    assert any(BASELINE in cell for cell in cells)
    assert any(p.startswith("data|`<b> .nc, SHA-256") for p in page.texts["p"])


def test_the_report_opens(data: Dataset, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", data)
    write_report(folder, data)
    text = (folder / "report.html").read_text()
    page = Reader(text)
    assert not {"script", "i", "font"} & set(page.tags)
    assert page.texts["h1"][0] == TITLE
    assert any(BASELINE in cell for cell in page.texts["td"])


def test_the_terminal_shows_names_as_they_are(
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = {k: v for k, v in data.contract.to_dict().items() if k != "baseline"}
    (tmp_path / "pond.toml").write_text(tomli_w.dumps(content))
    (mode,) = content["dimensions"]
    file = tmp_path / "pond [red]x.nc"
    xr.Dataset(
        {
            "radius": (("sample", mode), data.x[:, :-1], {"units": UNITS}),
            "depth": ("sample", data.x[:, -1], {"units": "[red]m"}),
            "rate": (("sample", mode), data.y, {"units": UNITS}),
        },
        coords={mode: list(LABELS)},
    ).to_netcdf(file)
    monkeypatch.setenv("COLUMNS", "300")
    assert execute(["data", str(file), "--contract", str(tmp_path / "pond.toml")]) == 0
    shown = capsys.readouterr().out
    for text in (str(file), "[red]m", "rate[[red]x[/red]]", "rate[aitken\\]", UNITS):
        assert text in shown
    assert execute(["data", f"{tmp_path}/a\x1b]0;title\x07.nc"]) == 1
    assert r"a\x1b]0;title\x07.nc" in capsys.readouterr().err


@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)]
)
def test_the_glue_compiles_and_runs(bundle: Bundle, compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None or shutil.which("make") is None:
        pytest.skip(f"needs {compiler} and make")
    folder = write_host(bundle, "plain", tmp_path / "glue").path
    text = (folder / "example_host.F90").read_text()
    assert text.isascii() and max(map(len, text.splitlines())) <= 132
    strict = "-std=f2018 -Werror" + (" -Wall -Wextra" if compiler == "gfortran" else "")
    shown = run("make", "-s", "run", f"FC={compiler}", f"FFLAGS={strict}", cwd=folder)
    assert shown.count("rate(:, ") == len(LABELS)


def test_the_glue_compiles_with_cmake(bundle: Bundle, tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("gfortran") is None:
        pytest.skip("needs cmake and gfortran")
    folder = write_host(bundle, "plain", tmp_path / "glue").path
    run("cmake", "-S", ".", "-B", "build", cwd=folder)
    run("cmake", "--build", "build", cwd=folder)
    assert "rate(:, 6)" in run("build/example_host", cwd=folder)


@pytest.mark.parametrize(
    "name", ["pond\nall: ; touch sentinel", "pond)\nexecute_process(", "$(x)", "a b", "", "p" * 50]
)
def test_a_bundle_whose_name_is_no_name_is_refused(
    bundle: Bundle, data: Dataset, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    content = {**json.loads((folder / "manifest.json").read_text()), "name": name}
    del content["manifest_sha256"]
    signature = hashlib.sha256(json_text(content).encode()).hexdigest()
    signed = json_text({**content, "manifest_sha256": signature})
    (folder / "manifest.json").write_text(signed)
    with pytest.raises(EmufortError, match="Fortran") as caught:
        write_host(folder, "plain", tmp_path / "host")
    assert "\n" not in str(caught.value)
    assert execute(["export", "--bundle", str(folder), "--host", "plain"]) != 0
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "host").exists()
    if name:
        with pytest.raises(UsageError, match="Fortran"):
            export(bundle.emulator(), data, tmp_path / "new", name=name)


def test_texts_that_no_file_can_hold_are_refused(contract: Contract) -> None:
    content = contract.to_dict()
    for key, value in (("title", "a\ud800b"), ("name", "pond\n")):
        with pytest.raises(EmufortError) as caught:
            Contract.from_dict({**content, key: value})
        str(caught.value).encode()
