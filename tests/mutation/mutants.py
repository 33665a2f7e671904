"""Every small fault that could be put into a source file, one at a time."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
Fault: TypeAlias = tuple[str, str, Callable[[], None], Callable[[], None]]
"""The line before and after, what makes the fault and what takes it back."""
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One fault: where it is, what stood there and what stands there now."""

    where: str
    before: str
    after: str
    tree: ast.Module

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.where, self.before, self.after)


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module. Annotations, docstrings, decorators and protocols stay as they are."""
    tree = ast.parse(source)
    for statement, where in _statements(tree, ""):
        for before, after, mutate, restore in _faults(statement):
            mutate()
            changed = copy.deepcopy(tree)
            restore()
            yield Mutant(where, before, after, ast.fix_missing_locations(changed))


def _statements(node: ast.AST, where: str) -> Iterator[tuple[ast.AST, str]]:
    """Statements that act, each with the name of what it stands in."""
    for field_name, value in ast.iter_fields(node):
        if not isinstance(value, list) or field_name not in ("body", "orelse", "finalbody", "handlers"):
            continue
        for child in value:
            if isinstance(child, ast.ClassDef):
                if not any(isinstance(base, ast.Name | ast.Subscript) and "Protocol" in ast.unparse(base)
                           for base in child.bases):  # fmt: skip
                    yield from _statements(child, f"{where}{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                yield _MutantSignature(child.args), f"{where}{child.name}"
                yield from _statements(child, f"{where}{child.name}.")
            elif not isinstance(child, ast.Import | ast.ImportFrom) and not _is_text(child):
                yield child, where.rstrip(".") or "module"
                yield from _statements(child, where)


class _MutantSignature(ast.AST):
    """The defaults of a function, as something that can be walked."""

    _fields = ("defaults", "kw_defaults")

    def __init__(self, args: ast.arguments) -> None:
        super().__init__()
        self.defaults = args.defaults
        self.kw_defaults = args.kw_defaults


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _expressions(statement: ast.AST) -> Iterator[ast.AST]:
    """Expressions of one statement, without those of the statements inside it."""
    inner = ("body", "orelse", "finalbody", "handlers", "annotation", "returns", "decorator_list")
    for name, value in ast.iter_fields(statement):
        if name in inner and not isinstance(statement, ast.IfExp | ast.Lambda):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr | ast.comprehension | ast.keyword | ast.FormattedValue):
                yield child
                yield from _expressions(child)


def _faults(statement: ast.AST) -> Iterator[Fault]:
    """Every fault of one statement."""
    line = "" if isinstance(statement, _MutantSignature) else ast.unparse(statement).splitlines()[0]

    def described(node: ast.AST, name: str, value: object) -> Fault:
        old = getattr(node, name)
        before = line or ast.unparse(node)
        setattr(node, name, value)
        after = ast.unparse(statement).splitlines()[0] if line else ast.unparse(node)
        setattr(node, name, old)
        return before, after, lambda: setattr(node, name, value), lambda: setattr(node, name, old)

    if isinstance(statement, ast.If | ast.While):
        for truth in (True, False):
            yield described(statement, "test", ast.Constant(truth))
    is_none = isinstance(statement, ast.Return) and ast.unparse(statement) in ("return", "return None")
    if isinstance(statement, ast.Return) and not is_none:
        yield described(statement, "value", ast.Constant(None))
    if isinstance(statement, ast.AugAssign) and type(statement.op) in _ARITHMETIC:
        yield described(statement, "op", _ARITHMETIC[type(statement.op)]())
    if isinstance(statement, ast.Expr):
        yield described(statement, "value", ast.Constant(None))
    for node in _expressions(statement):
        yield from (described(node, name, value) for name, value in _changes(node))


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """(attribute, new value) for every fault of one expression."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in _COMPARISONS[type(operator)]:
                yield "ops", [*node.ops[:index], other(), *node.ops[index + 1 :]]
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        yield "op", _ARITHMETIC[type(node.op)]()
    elif isinstance(node, ast.BoolOp):
        yield "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "operand", ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "op", ast.UAdd()
    elif isinstance(node, ast.IfExp):
        yield "test", ast.Constant(True)
        yield "test", ast.Constant(False)
    elif isinstance(node, ast.comprehension):
        for index, condition in enumerate(node.ifs):
            yield "ifs", node.ifs[:index] + node.ifs[index + 1 :]
            yield "ifs", [*node.ifs[:index], ast.UnaryOp(ast.Not(), condition), *node.ifs[index + 1 :]]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield "func", ast.Name(_CALLS[node.func.id], ast.Load())
    elif isinstance(node, ast.Constant):
        yield from (("value", value) for value in _other_constants(node.value))


def _other_constants(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
        if value not in (0, 1):
            yield value - 1 if isinstance(value, int) else value * 0.5
        elif value == 1:
            yield 0
    elif isinstance(value, str) and value:
        yield value + "_"
    elif isinstance(value, bytes) and value:
        yield value + b"_"
    elif value is None:
        yield ...
