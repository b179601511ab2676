"""The few house rules that no tool checks for us; each offender is named as file:line."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
CORE: Final = ("decimals", "engine", "errors", "executor", "model", "pricing", "settlement")
"""Modules in which nothing may be a float: prices and quantities pass through all of them."""
WAIVER: Final = re.compile(
    r"#\s*(noqa(?P<rules>:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?"
    r"|type:\s*ignore(?P<errors>\[[\w\-, ]+\])?)"
    r"(?P<reason>.*)"
)
UNFINISHED: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
CHECKING: Final = re.compile(
    r"^_?(assert|check|eventually|expect|judge|prove|referee|until|verify|wait_until)"
)
"""How helpers are named that check something for a test, or wait for it within a bound."""


def written(*folders: str) -> list[Path]:
    """The Python files people write, generated ones left out."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if "v1" not in path.relative_to(ROOT).parts]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def at(path: Path, line: int, what: str = "") -> str:
    return f"{path.relative_to(ROOT)}:{line} {what}".rstrip()


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def assert_none(offenders: Iterable[str]) -> None:
    found = sorted(offenders)
    assert not found, "\n".join(found)


def called_name(node: ast.AST) -> str:
    """The last name of what a call calls, "" for anything else."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
    return ""


def test_a_source_file_is_one_thing_and_has_at_most_400_lines() -> None:
    kinds = {".py", ".pyi", ".pyx", ".pxd", ".pxi", ".h", ".lua"}
    lengths = {
        path: len(path.read_text().splitlines())
        for path in (ROOT / "src/execution").rglob("*")
        if path.suffix in kinds and path.parent.name != "v1"
    }
    assert lengths
    assert_none(at(path, lines) for path, lines in lengths.items() if lines > FILE_LINES_MAX)


def test_a_function_has_at_most_70_lines() -> None:
    offenders = [
        at(path, function.lineno, function.name)
        for path in written("src", "tests", "tools", "benchmarks")
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno >= FUNCTION_LINES_MAX
    ]
    assert_none(offenders)


def test_a_waived_check_says_which_and_why_on_its_line() -> None:
    offenders = [
        at(path, line, comment)
        for path in written("src", "tests", "tools", "benchmarks")
        for line, comment in comments(path)
        if not reasoned(comment)
    ]
    assert_none(offenders)


def reasoned(comment: str) -> bool:
    """Whether the comment waives nothing, or names what it waives and gives a reason."""
    waiver = WAIVER.search(comment)
    if waiver is None:
        return True
    named = waiver["rules"] or waiver["errors"]
    return named is not None and re.search(r"\w{2,}", waiver["reason"]) is not None


@pytest.mark.parametrize(
    ("comment", "well"),
    [
        ("# noqa", False),
        ("# noqa: S603", False),
        ("# noqa: S603, S604", False),
        ("# noqa - a file we found", False),
        ("# noqa: S603 - a file we found, no shell", True),
        ("# noqa: S603, S604 - a file we found, no shell", True),
        ("# type: ignore", False),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the wrong type is the point", True),
        ("# it says type, and ignore, elsewhere", True),
    ],
)
def test_a_reason_is_told_from_a_code(comment: str, *, well: bool) -> None:
    assert reasoned(comment) is well


def test_nothing_is_marked_unfinished() -> None:
    kinds = {".py", ".pyi", ".pyx", ".pxd", ".h", ".lua", ".proto", ".toml", ".md"}
    folders = [ROOT / name for name in ("src", "tests", "tools", "benchmarks", "proto", "docs")]
    offenders = [
        at(path, number, line.strip())
        for path in [*ROOT.glob("*.*"), *(file for top in folders for file in top.rglob("*"))]
        if path.suffix in kinds and path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if UNFINISHED.search(line)
    ]
    assert_none(offenders)


def test_no_float_touches_a_price_or_a_quantity_in_the_core() -> None:
    offenders = [
        at(path, node.lineno, ast.unparse(node))
        for path in (ROOT / "src/execution" / f"{name}.py" for name in CORE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.expr | ast.stmt) and makes_a_float(node)
    ]
    assert_none(offenders)


def makes_a_float(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float()):
            return True
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
    return called_name(node) in {"float", "float64", "true_divide"}


def test_modules_keep_no_state() -> None:
    """What a module holds is Final: nothing is global, nothing happens at import time."""
    offenders = [
        at(path, statement.lineno, ast.unparse(statement)[:60])
        for path in written("src")
        for statement in parsed(path).body
        if is_mutable_global(statement)
    ]
    assert_none(offenders)


def is_mutable_global(statement: ast.stmt) -> bool:
    """Whether a module-level name is bound to a container or object that nothing calls Final."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return False
        case ast.Assign(value=value):
            return is_mutable(value)
        case ast.AnnAssign(annotation=annotation, value=ast.expr() as value):
            return is_mutable(value) and "Final" not in ast.unparse(annotation)
    return False


def is_mutable(value: ast.expr) -> bool:
    containers = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    constructors = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "OrderedDict"}
    return isinstance(value, containers) or called_name(value) in constructors | {"Counter"}


def test_every_test_can_fail() -> None:
    offenders = [
        at(path, function.lineno, function.name)
        for path in written("tests")
        if path.name.startswith("test_")
        for function in functions(path)
        if function.name.startswith("test_") and not can_fail(function)
    ]
    assert_none(offenders)


def can_fail(test: ast.AST) -> bool:
    """Whether it asserts, expects an error, or calls a helper named for checking."""
    return any(
        isinstance(node, ast.Assert)
        or called_name(node) in {"raises", "warns", "fail"}
        or CHECKING.match(called_name(node)) is not None
        for node in ast.walk(test)
    )
