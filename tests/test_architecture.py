"""The rules of the house, read off the source: which room may import what, and how large it may be.

    cli → ops → {vault, mysql, engine} → rows → names → {model, events} → errors

`demo` stands beside `cli`: it may use everything below, and only `cli`, tests and bench use it.
`api` is for other programs: nothing here uses it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "tablevault"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)

# A room may import every room of a lower number, and none of its own number but itself.
LEVEL = {
    "errors": 0,
    "model": 1,
    "events": 1,
    "names": 2,
    "rows": 3,
    "vault": 4,
    "mysql": 4,
    "engine": 4,
    "ops": 5,
    "api": 6,
    "demo": 6,
    "cli": 7,
    "__main__": 8,
}
OWNERS = {
    "mysql": {"mysql"},
    "pyarrow": {"vault"},
    "zstandard": {"vault"},
    "duckdb": {"vault"},
    "click": {"cli"},
    "tqdm": {"cli"},
    "keyring": {"cli"},
}
TALKING_ROOMS = {"cli", "demo"}
MAX_MODULE_LINES = 320
MAX_FUNCTION_LINES = 60
SHORT_METHOD_LINES = 12

_STATEMENT = re.compile(
    r"\s*(?:/\*.*?\*/\s*)?(?:"
    r"SELECT\s+[\w`*@(].*|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|REPLACE\s+INTO\s|"
    r"LOCK\s+(?:TABLES?|INSTANCE)\s|(?:CREATE|DROP|ALTER|RENAME|TRUNCATE|UNLOCK|FLUSH|ANALYZE|CHECK|OPTIMIZE)\s+"
    r"(?:\w+\s+)?(?:TABLES?|DATABASE|SCHEMA|TRIGGER|INDEX|INSTANCE|USER)\b|"
    r"LOAD\s+DATA\s|START\s+TRANSACTION|BACKUP\s+(?:STAGE|LOCK|UNLOCK)|KILL\s+(?:QUERY|CONNECTION|\d|$)|"
    r"SET\s+(?:SESSION|GLOBAL|@)|SHOW\s+(?:CREATE|FULL|MASTER|BINARY|GLOBAL|SESSION|WARNINGS|"
    r"GRANTS|TABLES|TRIGGERS|ENGINE|STATUS|VARIABLES|PROCESSLIST)\b|EXPLAIN\s+(?:SELECT|FORMAT)"
    r")",
    re.DOTALL,
)


def _where(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def _room(path: Path) -> str:
    """The room a module belongs to; empty for the package's own `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module imported anywhere in the file, lazily or not, with its line."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_where(path)}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield node.module, node.lineno
            if node.module == "tablevault":
                for alias in node.names:
                    yield f"tablevault.{alias.name}", node.lineno


def _room_breaches(path: Path) -> Iterator[str]:
    room = _room(path)
    for module, line in _imports(path):
        top, _, rest = module.partition(".")
        if top != "tablevault" or not rest:
            continue
        target = rest.split(".")[0]
        if target not in LEVEL or target == room:
            continue
        if room == "" or LEVEL[target] >= LEVEL[room]:
            yield f"{_where(path)}:{line}: {room or 'the package'} must not import {target}"
        if target == "demo" and room != "cli":
            yield f"{_where(path)}:{line}: only cli imports demo"


def _driver_breaches(path: Path) -> Iterator[str]:
    for module, line in _imports(path):
        top = module.partition(".")[0]
        if top in OWNERS and _room(path) not in OWNERS[top]:
            yield f"{_where(path)}:{line}: only {', '.join(OWNERS[top])} imports {top}"


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _size_breaches(path: Path) -> Iterator[str]:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{_where(path)}: {lines} lines, more than {MAX_MODULE_LINES}"
    for function in _functions(path):
        if not _is_declaration(function) and _size(function) > MAX_FUNCTION_LINES:
            yield f"{_where(path)}:{function.lineno}: {function.name} has {_size(function)} lines"


def _size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines, without those of a class made inside, whose methods count for themselves."""
    classes = [node for node in ast.walk(function) if isinstance(node, ast.ClassDef)]
    return _lines(function) - sum(_lines(node) for node in classes)


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - min([node.lineno, *(m.lineno for m in node.decorator_list)]) + 1


def _is_declaration(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it is a click command: its decorators are the list of its options."""
    return len(function.decorator_list) > 3


def _undocumented(path: Path) -> Iterator[str]:
    tree = _tree(path)
    if not ast.get_docstring(tree):
        yield f"{_where(path)}: the module has no docstring"
    for owner, node in _public(tree, ""):
        if not ast.get_docstring(node):
            yield f"{_where(path)}:{node.lineno}: {owner}{node.name} has no docstring"


def _public(
    parent: ast.Module | ast.ClassDef, owner: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public classes, functions and methods; not what is inside functions or inherited by rule."""
    for node in parent.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield owner, node
            yield from _public(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") or _speaks_for_itself(node, owner):
                continue
            yield owner, node


def _speaks_for_itself(node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> bool:
    """Overloads, setters, and the short methods of a class that is described itself."""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    if any(mark.endswith(("overload", ".setter", "override")) for mark in marks):
        return True
    return bool(owner) and _size(node) <= SHORT_METHOD_LINES


def _prints(path: Path) -> Iterator[str]:
    if _room(path) in TALKING_ROOMS:
        return
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "print",
            "input",
            "sys.stdout.write",
            "sys.stderr.write",
        }:
            yield f"{_where(path)}:{node.lineno}: {ast.unparse(node.func)} outside cli"


def _strings(path: Path) -> Iterator[tuple[str, int]]:
    """Every string constant that is no docstring; of an f-string its first piece."""
    docs = set()
    pieces = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs.add(node.value)
        if isinstance(node, ast.JoinedStr):
            pieces.update(value for value in node.values[1:] if isinstance(value, ast.Constant))
    for node in ast.walk(_tree(path)):
        if not isinstance(node, ast.Constant) or node in docs or node in pieces:
            continue
        if isinstance(node.value, str):
            yield node.value, node.lineno
        elif isinstance(node.value, bytes):
            yield node.value.decode("latin-1"), node.lineno


def _speaks_sql(path: Path) -> bool:
    """Whether statements may be written here: in the mysql room, and for the demo's own story.

    What DuckDB is told about files goes to no server.
    """
    return _room(path) in {"mysql", "demo"} or path == PACKAGE / "vault" / "query.py"


def _sql_breaches(path: Path) -> Iterator[str]:
    if _speaks_sql(path):
        return
    for text, line in _strings(path):
        if _STATEMENT.match(text):
            yield f"{_where(path)}:{line}: SQL outside the mysql room: {text[:50]!r}"


RULES = {
    "rooms import one way": _room_breaches,
    "one room a library": _driver_breaches,
    "modules and functions are small": _size_breaches,
    "what is public is described": _undocumented,
    "only the command line talks": _prints,
    "statements are written in one room": _sql_breaches,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_source_keeps(rule: str) -> None:
    breaches = [breach for path in MODULES for breach in RULES[rule](path)]
    assert not breaches, "\n" + "\n".join(breaches)


def test_every_module_is_in_a_known_room() -> None:
    assert len(MODULES) > 20
    assert {_room(path) for path in MODULES} <= {"", *LEVEL}


@pytest.mark.parametrize(
    ("rule", "room", "source"),
    [
        ("rooms import one way", "vault", "from tablevault.mysql.connect import connect"),
        ("rooms import one way", "rows", "def f():\n    import tablevault.ops.restore"),
        ("rooms import one way", "ops", "from tablevault import cli"),
        ("rooms import one way", "ops", "from tablevault.demo.server import PrivateServer"),
        ("one room a library", "ops", "def f():\n    import mysql.connector"),
        ("one room a library", "engine", "import pyarrow.parquet as pq"),
        ("one room a library", "ops", "def f():\n    import duckdb"),
        ("one room a library", "demo", "from tqdm import tqdm"),
        ("modules and functions are small", "ops", "x = 1\n" * (MAX_MODULE_LINES + 1)),
        ("modules and functions are small", "ops", "def f():\n" + "    x = 1\n" * 60),
        ("what is public is described", "ops", '"""Doc."""\ndef f(): ...'),
        (
            "what is public is described",
            "ops",
            '"""Doc."""\nclass C:\n    def f(self): 0',
        ),
        (
            "what is public is described",
            "ops",
            '"""D."""\nclass C:\n "D."\n def f(self):' + "\n  0" * 20,
        ),
        ("what is public is described", "ops", "x = 1"),
        ("only the command line talks", "ops", "print('hello')"),
        ("only the command line talks", "mysql", "import sys\nsys.stderr.write('x')"),
        ("statements are written in one room", "ops", "q = 'SELECT 1'"),
        ("statements are written in one room", "engine", "q = b'/* tablevault */ DROP TABLE t'"),
        ("statements are written in one room", "vault", "q = f'ALTER TABLE {1} ADD x INT'"),
    ],
)
def test_a_breach_is_found(
    rule: str, room: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "tablevault")
    path = tmp_path / "tablevault" / room / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert list(RULES[rule](path))
