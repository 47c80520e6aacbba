"""Any text in any language says that text and does nothing else."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import onnx as onnx_package
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from emufort import escape
from emufort.errors import EmufortError, UsageError

#: What ends literals, comments, cells or lines somewhere, or is evaluated.
TOKENS = (
    *("/*", "*/", "//", "&", "&\n", "'", '"', "''", "\\", "\\\n", "\n", "\r\n", "\t", " ", "  "),
    *("#", "# define X", "#include <x>", "??/", "__FILE__", "__LINE__", "linux", "unix", "!$omp"),
    *("${HOME}", "$ENV{HOME}", "$(shell touch sentinel)", "$(touch sentinel)", "`touch sentinel`"),
    *("@HOME@", "$<1:x>", ";", "[[", "]]", "]=]", ")", "(", "%", "%j", "=", ":", "|", "||", "\\|"),
    *("<b>", "</td>", "<script>alert(1)</script>", "-->", "&amp;", "&#60;", "![x](y)", "[a](b)"),
    *("https://x.org/a", "www.x.org", "a@b.org", "**x**", "_x_", "~~x~~", "```", "$x$", "\\$x$"),
    *("\x00", "\x01", "\x0b", "\x0c", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff"),
    *("é", "雪", "😀", "aitken\\", "endef", "EOF", "- ", "1. ", "> ", "    "),
)
ALPHABET = st.characters(exclude_categories=["Cs"])
PIECES = st.one_of(st.sampled_from(TOKENS), st.text(ALPHABET, max_size=12))
TEXT = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.tuples(PIECES, st.integers(50, 1500)).map(lambda pair: (pair[0] * pair[1])[:4000]),
)
#: One compiled program holds as many texts.
TEXTS = st.lists(TEXT, min_size=30, max_size=60)

#: Programs take a second; a failing list is not shrunk by running hundreds of them.
programs = settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

values = settings(max_examples=300, deadline=None)

COMPILERS = {
    "gfortran": ("-std=f2018", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O0"),
    "gfortran -fbackslash": ("-fbackslash", "-Wall", "-Werror", "-O0"),
    "flang-22": ("-pedantic", "-Werror", "-O0"),
}


def run(*command: object, cwd: Path) -> bytes:
    done = subprocess.run([*map(str, command)], capture_output=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert not (cwd / "sentinel").exists()
    return done.stdout


@pytest.mark.parametrize("surrogates", ["\ud800", "a\udc80b"])
def test_half_of_a_surrogate_pair_is_refused(surrogates: str) -> None:
    for function in (
        escape.one_line,
        escape.comment,
        escape.fortran_comment,
        lambda text: escape.fortran_constant("x", text),
        escape.c_comment,
        escape.c_string,
        escape.cmake_string,
        escape.make_text,
        lambda text: escape.shell([text]),
        lambda text: escape.sbatch_value("output", text),
        escape.html,
        escape.markdown,
        escape.markdown_code,
        escape.onnx,
        escape.mathtext,
    ):
        with pytest.raises(EmufortError, match="half of a surrogate pair") as caught:
            function(surrogates)
        str(caught.value).encode()


# ------------------------------------------------------------------------------------------ Fortran


def printing_program(texts: Sequence[str]) -> str:
    constants = [escape.fortran_constant(f"text_{i}", text) for i, text in enumerate(texts)]
    writes = [f"write (unit) len(text_{i}), text_{i}" for i in range(len(texts))]
    opened = (
        "open (newunit=unit, file='said', access='stream', form='unformatted', status='replace')"
    )
    body = ["implicit none", *constants, "integer :: unit", opened, *writes]
    return "\n  ".join(["program say", *body]) + "\nend program say\n"


def said(content: bytes) -> list[str]:
    texts = []
    while content:
        length = int.from_bytes(content[:4], "little")
        texts.append(content[4 : 4 + length].decode())
        content = content[4 + length :]
    return texts


@pytest.mark.parametrize("compiler", COMPILERS)
def test_fortran_constants_hold_the_text(compiler: str) -> None:
    command = compiler.split()[0]
    if shutil.which(command) is None:
        pytest.skip(f"needs {command}")

    @programs
    @example(["'" * 4000, "雪" * 1500, "/*" * 2000, "\\" * 3000, "&\n" * 1000, ""])
    @given(TEXTS)
    def check(texts: list[str]) -> None:
        source = printing_program(texts)
        assert max(map(len, source.splitlines())) <= 132 and source.isascii()
        # Other preprocessors and compilers may read these otherwise.
        assert "/*" not in source and "\\" not in source
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "say.F90").write_text(source)
            run(command, *COMPILERS[compiler], "say.F90", "-o", "say", cwd=folder)
            run("./say", cwd=folder)
            assert said((folder / "said").read_bytes()) == texts

    check()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_fortran_comments_end_with_their_line(compiler: str) -> None:
    command = compiler.split()[0]
    if shutil.which(command) is None:
        pytest.skip(f"needs {command}")

    @programs
    @example(["from /data/*.nc", "aitken\\", "a\\\n", "*/", "/*/*", "x" * 400, "don't", "&"])
    @given(TEXTS)
    def check(texts: list[str]) -> None:
        lines = []
        for i, text in enumerate(texts):
            words = escape.fortran_comment(text)
            assert len(words) <= 110
            assert words.isascii() and words.isprintable()
            lines += [f"  !> {words}", f"  integer, parameter :: x_{i} = {i}   !! {words}"]
        lines += [f"print '(i0)', x_{i}" for i in range(len(texts))]
        source = "\n".join(["program say", "implicit none", *lines, "end program say", ""])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "say.F90").write_text(source)
            flags = [f for f in COMPILERS[compiler] if f not in ("-Wall", "-Wextra")]
            run(command, *flags, "say.F90", "-o", "say", cwd=folder)
            assert run("./say", cwd=folder).decode().split() == [*map(str, range(len(texts)))]

    check()


def test_a_fortran_comment_keeps_what_it_can() -> None:
    assert escape.fortran_comment("air temperature [K]") == "air temperature [K]"
    assert escape.fortran_comment("from /data/*.nc") == "from /data/ *.nc"
    assert escape.fortran_comment("one\n  two\ttürkis") == "one two t?rkis"
    assert escape.fortran_comment("aitken\\") == "aitken\\."
    assert escape.fortran_comment("word " * 40, 20) == "word word word ..."
    assert escape.fortran_comment("x" * 200, 20) == "x" * 16 + " ..."
    assert escape.fortran_comment("x\\" * 20, 20) == "x\\" * 8 + " ..."
    assert escape.fortran_comment("x" * 19 + "\\", 20) == "x" * 19 + "."


@pytest.mark.parametrize("name", ["", "a b", "1a", "_a", "a-b", "a\n", "ä", "a.b", "a" * 64])
def test_what_is_no_fortran_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        escape.fortran_name(name)
    assert "\n" not in str(caught.value)


def test_a_fortran_name_leaves_room_for_its_suffix() -> None:
    assert escape.fortran_name("pond", "_emulator") == "pond"
    with pytest.raises(UsageError, match="at most 54 characters"):
        escape.fortran_name("p" * 55, "_emulator")


# ---------------------------------------------------------------------------------------- C and C++

C_COMPILERS = {
    "gcc -std=c99": ".c",
    "gcc -std=gnu17": ".c",
    "g++ -std=c++17": ".cpp",
    "clang-22 -std=c99": ".c",
    "clang++-22 -std=c++17": ".cpp",
}


@pytest.mark.parametrize("compiler", C_COMPILERS)
def test_c_says_the_text_and_ends_its_comments(compiler: str) -> None:
    command, standard = compiler.split()
    if shutil.which(command) is None:
        pytest.skip(f"needs {command}")

    @programs
    @example(["*/", "/*/", "aitken\\", "a\\\n", "??/", "**/ x", "%d", '"', "\\x41", "1\\" * 300])
    @given(TEXTS)
    def check(texts: list[str]) -> None:
        texts = without_nul(texts)
        lines = ["#include <stdio.h>", "int main(void) {"]
        for i, text in enumerate(texts):
            words = escape.c_comment(text)
            assert len(words) <= 110
            assert words.isascii() and words.isprintable() and "??" not in words
            lines += [f"  /* {words} */ /*", f"   * {words}", "   */", f"  // {words}"]
            # A literal of a long text is valid, though C99 promises only 4,095 characters.
            lines.append(f'  puts("{i}"); fputs({escape.c_string(text)}, stdout); putchar(0);')
        source = "\n".join([*lines, "  return 0;", "}", ""])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            path = folder / f"say{C_COMPILERS[compiler]}"
            path.write_text(source, newline="")
            flags = ("-Wall", "-Wextra", "-Werror", "-Wno-overlength-strings", "-O0")
            run(command, standard, *flags, path.name, "-o", "say", cwd=folder)
            found = run("./say", cwd=folder).decode().split("\0")[:-1]
        assert found == [f"{i}\n{text}" for i, text in enumerate(texts)]

    check()


@values
@given(TEXT)
def test_a_c_string_holds_printable_ascii(text: str) -> None:
    if "\0" in text:
        return
    literal = escape.c_string(text)
    assert literal.isascii() and literal.isprintable() and "?" not in literal


@pytest.mark.parametrize("name", ["int", "class", "and", "bool", "linux", "I", "NULL", "inputs"])
def test_a_member_is_no_keyword_and_no_macro(name: str) -> None:
    assert escape.c_member(name) == f"{name}_"
    assert escape.c_member(f"{name}s") == f"{name}s"


def test_a_c_comment_keeps_what_it_can() -> None:
    assert escape.c_comment("air temperature [K] (ncol)") == "air temperature [K] (ncol)"
    assert escape.c_comment("from /data/*.nc, x*/y, what??/") == "from /data/ *.nc, x* /y, what? ?/"
    assert escape.c_comment("one\n  two\ttürkis") == "one two t?rkis"
    assert escape.c_comment("aitken\\") == "aitken\\."
    assert escape.c_comment("word " * 40, 20) == "word word word ..."


# ------------------------------------------------------------------------ build files and the shell


def without_nul(texts: Sequence[str]) -> list[str]:
    return [text.replace("\0", "") for text in texts]


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
@programs
@given(TEXTS)
def test_cmake_says_the_text(texts: list[str]) -> None:
    texts = without_nul(texts)
    lines = []
    for i, text in enumerate(texts):
        lines.append(f"# x: {escape.comment(text)}")
        lines.append(f"file(WRITE said_{i} {escape.cmake_string(text)})")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "say.cmake").write_text("\n".join([*lines, ""]), newline="")
        run("cmake", "-P", "say.cmake", cwd=folder)
        found = [(folder / f"said_{i}").read_bytes().decode() for i in range(len(texts))]
        assert found == texts
        assert len(list(folder.iterdir())) == len(texts) + 1


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@programs
@given(TEXTS)
def test_make_says_the_text_on_one_line(texts: list[str]) -> None:
    lines = []
    for i, text in enumerate(texts):
        lines.append(f"# x: {escape.comment(text)}")
        lines.append(f"TEXT_{i} := {escape.make_text(text)}")
        lines.append(f"$(info [$(TEXT_{i})])")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Makefile").write_text("\n".join([*lines, "all:", ""]), newline="")
        found = run("make", "--silent", cwd=folder).decode()
    assert found == "".join(f"[{escape.one_line(text)}]\n" for text in texts)


@pytest.mark.parametrize("interpreter", ["sh", "bash"])
def test_a_shell_passes_every_word_as_it_is(interpreter: str) -> None:
    @programs
    @given(TEXTS)
    def check(texts: list[str]) -> None:
        words = without_nul(texts)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            lines = [f"# {escape.comment(w)}" for w in words]
            lines.append(escape.shell(["printf", "%s\\0", *words]))
            (folder / "say.sh").write_text("\n".join([*lines, ""]), newline="")
            found = run(interpreter, "say.sh", cwd=folder)
        assert found.decode().split("\0")[:-1] == words

    check()


@pytest.mark.parametrize(
    "function", [escape.cmake_string, escape.c_string, lambda text: escape.shell([text])]
)
def test_nul_is_refused_where_it_cannot_be_said(function: object) -> None:
    with pytest.raises(EmufortError, match="NUL"):
        function("a\0b")  # type: ignore[operator]


def read_sbatch_option(line: str) -> list[str]:
    """Read the arguments of a line as sbatch does."""
    assert line.startswith("#SBATCH ")
    words, word, quote, escaped = [], "", "", False
    for char in line.removeprefix("#SBATCH ") + " ":
        assert char not in "\n\0"
        if escaped:
            word, escaped = word + char, False
        elif char == "\\":
            escaped = True
        elif quote:
            word, quote = (word, "") if char == quote else (word + char, quote)
        elif char in "\"'":
            quote = char
        elif char == "#":
            break
        elif char.isspace():
            words, word = ([*words, word], "") if word else (words, "")
        else:
            word += char
    assert not quote and not escaped
    return words


@values
@given(TEXT)
@example("select=1:ncpus=8:mem=2gb")
@example("a b")
def test_other_batch_systems_get_a_plain_word_or_nothing(text: str) -> None:
    try:
        value = escape.batch_value("queue", text)
    except EmufortError as error:
        assert "\n" not in str(error)
        return
    assert value == text
    assert shlex.split(value, comments=True) == [text]
    assert not set(text) & set("%$^~*?;&|<>(){}[]!")


@values
@given(TEXT)
@example("s 9")
@example('a "b" \\ #c')
def test_sbatch_reads_the_value(text: str) -> None:
    if re.search(r"[\x00-\x1f\x7f]", text):
        with pytest.raises(UsageError, match="control character") as caught:
            escape.sbatch_value("output", text)
        assert "\n" not in str(caught.value)
        return
    line = f"#SBATCH --output={escape.sbatch_value('output', text)}"
    # Blanks that are not ASCII are none to sbatch, and are not read here as such.
    assert read_sbatch_option(line) == [f"--output={text}"]
    assert not re.search(r"(?<!\\)#", line[1:]), "older versions begin a comment there"


# ------------------------------------------------------------------------------------ for a person


class Reader(HTMLParser):
    """Gathers tags and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [value for _, value in attributes]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")


@given(TEXT)
@values
def test_html_reads_back_as_the_text(text: str) -> None:
    escaped = escape.html(text)
    page = Reader(f'<p title="{escaped}">{escaped}</p>')
    expected = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", text)
    assert page.tags == ["p"]
    assert page.text == expected
    assert page.attributes == [expected]
    assert escape.html(escaped) == escaped


def markdown_html(text: str) -> Reader:
    return Reader(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


@given(st.lists(TEXT, min_size=3, max_size=3), st.booleans())
@values
def test_a_row_of_a_markdown_table_keeps_its_cells_and_their_text(
    texts: list[str], is_code: bool
) -> None:
    function = escape.markdown_code if is_code else escape.markdown
    cells = [function(text) for text in texts]
    page = markdown_html(f"| a | b | c |\n|---|---|---|\n| {' | '.join(cells)} |\n")
    assert page.tags.count("td") == 3
    allowed = {"table", "thead", "tbody", "tr", "th", "td", *(["code"] if is_code else [])}
    assert set(page.tags) <= allowed
    words = [word for text in texts for word in escape.one_line(text).split(" ") if word]
    assert re.sub(r"[ \n]+", " ", page.text).strip() == " ".join(["a b c", *words])


@given(TEXT)
@values
def test_markdown_stays_in_its_heading_and_sentence(text: str) -> None:
    expected = escape.one_line(text)
    heading = markdown_html(f"# {escape.markdown(text)} end\n")
    assert heading.tags == ["h1"]
    sentence = markdown_html(f"{escape.markdown(text)} end.\n")
    assert sentence.tags == ["p"]
    for page, end in ((heading, " end"), (sentence, " end.")):
        assert page.text.strip() == f"{expected}{end}".strip()


def test_markdown_is_readable_and_escaped_once() -> None:
    assert (
        escape.markdown("geometric mean of x_ref [m s-1]") == r"geometric mean of x_ref \[m s-1\]"
    )
    assert escape.markdown(escape.markdown("a|b")) == r"a\|b"
    assert escape.markdown_code("fraction[aitken]") == "`fraction[aitken]`"
    assert escape.markdown_code("a`b") == r"a\`b"


@values
@given(TEXT)
def test_an_onnx_model_says_the_text(text: str) -> None:
    model = onnx_package.ModelProto(doc_string=escape.onnx(text))
    again = onnx_package.ModelProto.FromString(model.SerializeToString())
    assert again.doc_string == text


@values
@given(TEXT)
def test_a_label_of_a_figure_holds_no_formula(text: str) -> None:
    from matplotlib.text import Text

    shown, is_formula = Text()._preprocess_math(escape.mathtext(text))
    assert not is_formula
    assert shown == escape.one_line(text)


@values
@given(TEXT)
def test_nothing_controls_the_terminal(text: str) -> None:
    shown = escape.terminal(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_plain_words_stay_as_they_are() -> None:
    plain = "Evaporation of a pond, 2 layers (synthetic)"
    for function in (escape.comment, escape.make_text, escape.fortran_comment, escape.c_comment):
        assert function(plain) == plain
    assert escape.markdown(plain) == plain
    assert escape.terminal(f"{plain}: 雪\n") == f"{plain}: 雪\n"
    assert escape.shell(["python3", "-m", "dask"]) == shlex.join(["python3", "-m", "dask"])
    assert escape.sbatch_value("mem", "8G") == "8G"
    assert escape.sbatch_value("output", "/s 9/x") == '"/s 9/x"'
