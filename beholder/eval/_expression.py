"""The language of `--where`: comparisons and arithmetic on a table's columns, nothing else.

    mps.overall > 0.3 and not (clipscore.total < 0.2 or model in ["sd15", "sdxl"])
    0.5 * mps.detail + 0.5 * mps.aesthetics >= 0.4
    column["steps used"] == 30

`and or not`, `< <= > >= == != in`, `+ - * /`, numbers, texts, True and False, lists behind `in`,
and columns by their names; a name that is no identifier goes into `column["..."]`. The text is
parsed, checked against this list and walked; it is never executed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from beholder.errors import ConfigError

Value: TypeAlias = Any
Evaluate = Callable[[Mapping[str, Value]], Value]

LONGEST = 2000
"""Characters; nobody writes a longer rule by hand."""

_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDER: Mapping[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """One condition on a row.

    Attributes:
        text: as it was written.
        columns: the columns that it reads, in order.
    """

    text: str
    columns: Sequence[str]
    _evaluate: Evaluate

    def holds(self, row: Mapping[str, Value]) -> bool:
        """Whether the row fulfils it; every column must have a value.

        Raises:
            ConfigError: if texts meet numbers, or the outcome is neither True nor False.
            ZeroDivisionError: if the row divides by zero.
        """
        try:
            value = self._evaluate(row)
        except RecursionError as error:
            raise ConfigError("the rule is nested too deeply") from error
        if not isinstance(value, bool):
            raise ConfigError(
                f"{self.text!r} gives {value!r}; a rule is a comparison such as mps.overall > 0.3"
            )
        return value


def parse(text: str) -> list[Expression]:
    """The conditions of a rule that must all hold: the parts of its outermost `and`.

    Raises ConfigError if the text is not of the language.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"the rule has {len(text)} characters, at most {LONGEST} are accepted")
    try:
        body = ast.parse(text.strip(), mode="eval").body
        parts = body.values if _is_and(body) else [body]  # type: ignore[attr-defined]
        return [_expression(part) for part in parts]
    except SyntaxError as error:
        raise ConfigError(f"cannot read the rule {text!r}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot read the rule: {error or 'it is nested too deeply'}") from error


def _is_and(node: ast.expr) -> bool:
    return isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And)


def _expression(node: ast.expr) -> Expression:
    columns: dict[str, None] = {}
    evaluate = _compile(node, columns)
    return Expression(ast.unparse(node), list(columns), evaluate)


def _compile(node: ast.expr, columns: dict[str, None]) -> Evaluate:
    name = _column_name(node)
    if name is not None:
        columns[name] = None
        return lambda row: row[name]
    builder = _BUILDERS.get(type(node))
    if builder is None:
        raise ConfigError(
            f"{ast.unparse(node)!r} is not allowed in a rule; it may hold columns, numbers, texts, "
            "comparisons, and, or, not, in, + - * /"
        )
    return builder(node, columns)


def _column_name(node: ast.expr) -> str | None:
    """`a`, `a.b.c` and `column["a b"]` name columns."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _column_name(node.value)
        return None if owner is None else f"{owner}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        is_column = isinstance(node.value, ast.Name) and node.value.id == "column"
        return node.slice.value if is_column and isinstance(node.slice.value, str) else None
    return None


def _constant(node: ast.Constant, columns: dict[str, None]) -> Evaluate:
    value = node.value
    if not isinstance(value, (bool, int, float, str)):
        raise ConfigError(f"{ast.unparse(node)!r} is no number and no text")
    return lambda row: value


def _boolean(node: ast.BoolOp, columns: dict[str, None]) -> Evaluate:
    parts = [_compile(value, columns) for value in node.values]
    decide = all if isinstance(node.op, ast.And) else any
    return lambda row: decide(_truth(part(row)) for part in parts)


def _unary(node: ast.UnaryOp, columns: dict[str, None]) -> Evaluate:
    part = _compile(node.operand, columns)
    if isinstance(node.op, ast.Not):
        return lambda row: not _truth(part(row))
    if isinstance(node.op, ast.USub):
        return lambda row: -_number(part(row))
    if isinstance(node.op, ast.UAdd):
        return lambda row: _number(part(row))
    raise ConfigError(f"{ast.unparse(node)!r} is not allowed in a rule")


def _binary(node: ast.BinOp, columns: dict[str, None]) -> Evaluate:
    combine = _ARITHMETIC.get(type(node.op))
    if combine is None:
        raise ConfigError(f"{ast.unparse(node)!r}: only + - * / are allowed in a rule")
    left, right = _compile(node.left, columns), _compile(node.right, columns)
    return lambda row: combine(_number(left(row)), _number(right(row)))


def _compare(node: ast.Compare, columns: dict[str, None]) -> Evaluate:
    terms = [node.left, *node.comparators]
    links = [
        _link(left, op, right, columns)
        for left, op, right in zip(terms, node.ops, terms[1:], strict=False)
    ]
    return lambda row: all(link(row) for link in links)


def _link(left: ast.expr, op: ast.cmpop, right: ast.expr, columns: dict[str, None]) -> Evaluate:
    first = _compile(left, columns)
    if isinstance(op, (ast.In, ast.NotIn)):
        members = _members(right)
        return lambda row: (first(row) in members) is isinstance(op, ast.In)
    compare = _ORDER.get(type(op))
    if compare is None:
        raise ConfigError("`is` is not allowed in a rule; write == or !=")
    second = _compile(right, columns)
    return lambda row: compare(*_alike(first(row), second(row)))


def _members(node: ast.expr) -> list[Value]:
    if not isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        raise ConfigError(f'`in` needs a list such as ["a", "b"], got {ast.unparse(node)!r}')
    return [_compile(element, {})({}) for element in map(_plain, node.elts)]


def _plain(node: ast.expr) -> ast.expr:
    if _column_name(node) is not None:
        raise ConfigError(f"{ast.unparse(node)!r}: a list holds numbers or texts; quote a text")
    return node


def _alike(left: Value, right: Value) -> tuple[Value, Value]:
    if isinstance(left, str) != isinstance(right, str):
        raise ConfigError(
            f"cannot compare {left!r} with {right!r}: one is text, the other a number"
        )
    return left, right


def _number(value: Value) -> float:
    if isinstance(value, str):
        raise ConfigError(f"cannot compute with the text {value!r}")
    return float(value)


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"`and`, `or` and `not` join comparisons, got {value!r}")
    return value


_BUILDERS: Mapping[type, Callable[[Any, dict[str, None]], Evaluate]] = {
    ast.Constant: _constant,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
}
