"""Escape texts of contracts, bundles and options for other languages, one function each.

Titles, names, units, labels and paths may hold any characters. The result of a function represents
the text in its language and has no other effect: it does not end the literal or comment that
contains it, and no part of it is executed. A function replaces characters that its language cannot
represent, and documents this. Every function refuses half of a surrogate pair, which cannot be
encoded.
"""

from __future__ import annotations

import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from markupsafe import Markup
from markupsafe import escape as _escape_html

from emufort.errors import EmufortError, UsageError

#: A Fortran name has at most 63 characters.
LONGEST_NAME = 63

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_GAPS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
#: Longest line of a Fortran literal; the language allows 132 columns.
_FORTRAN_WIDTH = 100
#: Most continuation lines of one Fortran statement; Fortran 2018 allows 255.
_FORTRAN_LINES = 200
#: Characters of a Fortran literal: printable ASCII except the backslash, which some compilers
#: interpret as an escape.
_FORTRAN_PLAIN = r"[ -\[\]-~]+"
#: Keywords of C and C++.
_C_KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t
    char8_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
    constinit continue decltype default delete do double dynamic_cast else enum explicit export
    extern false final float for friend goto if import inline int long module mutable namespace new
    noexcept not not_eq nullptr operator or or_eq override private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename typeof
    typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq
    """
#: Macros of compilers and usual headers, and names that the generated headers use.
_C_NAMES = """
    BUFSIZ CHAR_BIT E2BIG EDOM EOF EXIT_FAILURE EXIT_SUCCESS FILE HUGE_VAL HUGE_VALF I INFINITY
    INT_MAX INT_MIN LONG_MAX LONG_MIN M_E M_PI NAN NULL OVERFLOW PTRDIFF_MAX RAND_MAX SIZE_MAX
    UINT_MAX UNDERFLOW assert complex errno hpux i386 imaginary isfinite isinf isnan isnormal
    linux major max min minor mips noreturn offsetof signbit sparc stderr stdin stdout sun unix vax
        Real emufort inputs outputs std
"""
#: Names that members of structures cannot have.
_C_TAKEN = frozenset((_C_KEYWORDS + _C_NAMES).split())


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EmufortError(f"{text!a} is not a text: it holds half of a surrogate pair") from error
    return text


def one_line(text: str) -> str:
    """Return `text` with blanks, line breaks and control characters as single spaces."""
    return _GAPS.sub(" ", _checked(text)).strip(" ")


def comment(text: str) -> str:
    """Return `text` for a comment that extends to the end of the line (CMake, make, shell).

    Line breaks and control characters become spaces. A backslash at the end, which would continue
    the comment on the next line, is followed by a full stop.
    """
    line = one_line(text)
    return f"{line}." if line.endswith("\\") else line


# ------------------------------------------------------------------------------------------ Fortran


def fortran_name(text: str, suffix: str = "") -> str:
    """Return `text` if it is a Fortran name, also with `suffix` appended.

    Raises
    ------
    UsageError
        The text holds characters other than letters, digits and underscores, does not start with a
        letter, or is too long.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"{text!r} cannot name a Fortran module: use letters, digits and underscores"
        )
    most = LONGEST_NAME - len(suffix)
    if len(text) > most:
        raise UsageError(f"the name '{text}' is too long for Fortran: at most {most} characters")
    return text


def fortran_comment(text: str, length: int = 110) -> str:
    """Return `text` for a comment of at most `length` characters.

    Line breaks and control characters become spaces, and characters outside ASCII become question
    marks. A long text is cut. ``/*``, which opens a comment of the C preprocessor, is separated by
    a space.
    """
    line = one_line(text).encode("ascii", "replace").decode()
    line = re.sub(r"/(?=\*)", "/ ", line)
    short = textwrap.shorten(line, length, placeholder=" ...")
    if len(line) > length and not short.strip(" ."):
        short = f"{line[: length - 4]} ..."
    return f"{short[: length - 1]}." if short.endswith("\\") else short


def fortran_real64(value: float) -> str:
    """Return a finite double as a Fortran constant that is read back exactly."""
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}d{int(exponent or 0)}"


def fortran_constant(name: str, text: str) -> str:
    """Return the declarations of a character constant `name` that holds `text` in UTF-8.

    A text that is too long for one statement is concatenated from further constants, whose names
    start with `name`. Lines after the first are indented by four columns.
    """
    lines = list(_fortran_lines(_checked(text)))
    parts = [lines[i : i + _FORTRAN_LINES] for i in range(0, len(lines), _FORTRAN_LINES)]
    if len(parts) == 1:
        return _fortran_declaration(name, parts[0])
    names = [f"{name[: LONGEST_NAME - 6]}_{i + 1}" for i in range(len(parts))]
    declarations = [_fortran_declaration(n, part) for n, part in zip(names, parts, strict=True)]
    return "\n  ".join([*declarations, _fortran_declaration(name, names)])


def _fortran_declaration(name: str, operands: Sequence[str]) -> str:
    value = " // &\n    ".join(operands)
    return f"character(len=*), parameter :: {name} = &\n    {value}"


def _fortran_lines(text: str) -> Iterator[str]:
    """Yield operands of a concatenation, one per line."""
    line = ""
    for operand in _fortran_operands(text):
        joined = f"{line} // {operand}" if line else operand
        if line and len(joined) > _FORTRAN_WIDTH:
            yield line
            joined = operand
        line = joined
    yield line or "''"


def _fortran_operands(text: str) -> Iterator[str]:
    """Yield literals for characters that all compilers read alike, ``char`` for other bytes."""
    for plain, other in re.findall(rf"({_FORTRAN_PLAIN})|(\\|[^ -~]+)", text):
        yield from (f"char({byte})" for byte in other.encode())
        # No piece holds the start of a comment of the C preprocessor.
        for piece in re.split(r"(?<=/)(?=\*)", plain):
            # Every apostrophe is doubled.
            longest = (_FORTRAN_WIDTH - 2) // (2 if "'" in piece else 1)
            for start in range(0, len(piece), longest):
                quoted = piece[start : start + longest].replace("'", "''")
                yield f"'{quoted}'"


# ---------------------------------------------------------------------------------------- C and C++


def c_comment(text: str, length: int = 110) -> str:
    """Return `text` for a comment of C or C++ of at most `length` characters, either kind.

    The text is treated as by `fortran_comment`. The characters that end a comment, and two question
    marks, which begin a trigraph, are separated by a space.
    """
    line = one_line(text).encode("ascii", "replace").decode()
    return fortran_comment(re.sub(r"(?<=\*)(?=/)|(?<=\?)(?=\?)", " ", line), length)


def c_string(text: str) -> str:
    """Return `text` as a string literal of C and C++ that holds it in UTF-8.

    Raises
    ------
    EmufortError
        The text holds the character NUL, which ends a string of C.
    """
    escaped = re.sub(
        r"[^A-Za-z0-9 _.,:;+=<>()\[\]-]",
        lambda found: "".join(f"\\{byte:03o}" for byte in found[0].encode()),
        _without_nul(text, "a string of C"),
    )
    return f'"{escaped}"'


def c_member(name: str) -> str:
    """Return a Fortran name as the name of a member of a structure in C and C++.

    An underscore is appended to a keyword of either language, to a macro of their usual headers,
    and to a name that the generated headers use.
    """
    return f"{name}_" if name in _C_TAKEN else name


# ------------------------------------------------------------------------ build files and the shell


def cmake_string(text: str) -> str:
    """Return `text` as a quoted argument of CMake, in which nothing is evaluated."""
    text = _without_nul(text, "CMake")
    text = re.sub(r'[\\"$@]', lambda found: "\\" + found[0], text)
    text = text.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
    return f'"{text}"'


def make_text(text: str) -> str:
    """Return `text` as the value of a variable of GNU make: one line, see `one_line`."""
    # $() is empty. It preserves blanks at the ends, and separates a backslash from the next
    # character.
    line = one_line(text).replace("$", "$$").replace("#", r"\#")
    return line.replace("\\", "\\$()").replace("\\$()#", r"\#")


def shell(words: Sequence[str]) -> str:
    """Return a command of a POSIX shell in which every one of `words` is one argument."""
    return shlex.join(_without_nul(word, "a shell") for word in words)


def _without_nul(text: str, target: str) -> str:
    if "\0" in text:
        raise EmufortError(f"{text!r} holds the character NUL, which {target} cannot represent")
    return _checked(text)


def sbatch_value(name: str, value: object) -> str:
    """Return the value of an option in a batch script of SLURM.

    sbatch parses these lines itself: double quotes preserve blanks, and a backslash escapes the
    next character, also between quotes.

    Raises
    ------
    UsageError
        The value has a line break or another control character.
    """
    text = str(value)
    if _CONTROLS.search(text):
        raise UsageError(
            f"the option {name} of a batch job cannot be {text!r}: it has a line break or another "
            "control character"
        )
    if not re.fullmatch(r"[\w./:%@,+=-]+", _checked(text)):
        escaped = re.sub(r'[\\"#]', lambda found: "\\" + found[0], text)
        text = f'"{escaped}"'
    return text


def batch_value(name: str, value: object) -> str:
    """Return the value of an option in a batch script of PBS, LSF or SGE.

    Their rules of quoting differ between versions, so no character that needs a quote is accepted.

    Raises
    ------
    UsageError
        The value has a blank, a quote or another character with a meaning in some version.
    """
    text = str(value)
    if not re.fullmatch(r"[\w./:@,+=-]+", _checked(text)):
        raise UsageError(
            f"the option {name} of a batch job cannot be {text!r}: use letters, digits and "
            "the characters ._/:@,+=- only"
        )
    return text


# ------------------------------------------------------------------------------------ for a person


def html(value: object) -> Markup:
    """Return a value as HTML text, also for an attribute between quotes.

    Control characters that HTML cannot represent become the replacement character U+FFFD.
    """
    if isinstance(value, Markup):
        return value
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", _checked(str(value)))
    return _escape_html(text)


class Markdown(str):
    """Text that is Markdown already; `markdown` returns it unchanged."""


def markdown(value: object) -> Markdown:
    """Return a value as text within a line of Markdown: a cell of a table, a heading, a sentence.

    It creates no emphasis, code, link, tag, list or further cell. Blanks are treated as by
    `one_line`.
    """
    if isinstance(value, Markdown):
        return value
    text = one_line(str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"[\\`*\[\]|~$@^]", r"\\\g<0>", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    # Some readers turn these into links automatically.
    text = re.sub(r":(?=//)", r"\\:", text)
    text = re.sub(r"(?i)(www|xmpp|mailto)([.:])", r"\1\\\2", text)
    # These start a heading or a list at the beginning of a line.
    text = re.sub(r"^(#+|[-+=](?=[-+= ]|$)|\d+(?=[.)](?: |$)))", _escaped_start, text)
    return Markdown(text)


def _escaped_start(found: re.Match[str]) -> str:
    return f"{found[0]}\\" if found[0][0].isdigit() else f"\\{found[0]}"


def markdown_code(value: object) -> Markdown:
    """Return a value as Markdown code within a line, or as `markdown` if code cannot hold it."""
    text = str(value)
    if re.fullmatch(r"[!-_a-{}~][ -_a-{}~]*(?<! )", text):
        return Markdown(f"`{text}`")
    return markdown(text)


def onnx(text: str) -> str:
    """Return `text` as a string of an ONNX model, which is UTF-8."""
    return _checked(text)


def mathtext(text: str) -> str:
    """Return `text` as a label of matplotlib, in which dollar signs do not start a formula."""
    return one_line(text).replace("$", r"\$")


def terminal(text: str) -> str:
    """Return `text` for a terminal: control characters are shown, such as an escape as x1b."""
    return "".join(
        char
        if char in "\n\t" or not unicodedata.category(char).startswith("C")
        else char.encode("unicode_escape").decode()
        for char in text
    )
