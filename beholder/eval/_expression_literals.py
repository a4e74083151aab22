"""Numbers, texts and lists that stand in a rule of `eval._expression` as they are."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from beholder.errors import ConfigError
from beholder.eval._filter.frame import Values

ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def folded(node: ast.expr) -> float | None:
    """The number that literals alone come to; None if it is something else."""
    try:
        if isinstance(node, ast.BinOp):
            left, right = folded(node.left), folded(node.right)
            known = left is not None and right is not None and type(node.op) in ARITHMETIC
            return float(ARITHMETIC[type(node.op)](left, right)) if known else None
        value = ast.literal_eval(node)
        return float(value) if isinstance(value, (int, float)) else None
    except (ValueError, TypeError, ArithmeticError):
        return None


def members(node: ast.expr) -> list[Values]:
    """What a list behind `in` holds; ConfigError if it is none, or not of numbers and texts."""
    if not isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        raise ConfigError(f'`in` needs a list such as ["a", "b"], got {ast.unparse(node)!r}')
    return [_member(element) for element in node.elts]


def _member(node: ast.expr) -> Values:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = None
    if not isinstance(value, (bool, int, float, str)):
        raise ConfigError(f"{ast.unparse(node)!r}: a list holds numbers or texts; quote a text")
    return value


def signed(node: ast.UnaryOp) -> int | float | None:
    """The number that a sign and a literal are; None if it is something else."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return value if type(value) in (int, float) else None
