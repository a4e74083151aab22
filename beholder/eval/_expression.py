"""The language of `--where` and `--score`: comparisons and arithmetic on a table's columns.

    mps.overall > 0.3 and not (clipscore.total < 0.2 or model in ["sd15", "sdxl"])
    0.5 * mps.detail + 0.5 * mps.aesthetics >= 0.4
    mps.total > quantile(mps.total, 0.9) or zscore(mps.total, model) > 2
    column["steps used"] == 30

`and or not`, `< <= > >= == != in`, `+ - * /`, numbers, texts, True and False, lists behind `in`,
columns by their names (one that is no identifier goes into `column["..."]`) and the functions of
`_expression_functions`. The text is parsed, checked against this list and walked; it is never
executed.

Scores are stored as float32, in which there is no 0.3: a number that is written beside such a
column alone, in a comparison or behind `in`, means the float32 next to it, so that `x <= 0.3` keeps
a stored 0.3. Computed sides are float64. Integers are compared exactly, however large.

Whole columns are evaluated at once, with the outcome that one row after the other has: a
part behind `and` and `or` counts only for the rows that the part before leaves open.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from beholder.errors import ConfigError
from beholder.eval._expression_functions import ELEMENTWISE, Call, called
from beholder.eval._expression_literals import ARITHMETIC, folded, members, signed
from beholder.eval._expression_syntax import fault_in
from beholder.eval._expression_values import alike, is_member, numbers, sample, truths
from beholder.eval._filter.frame import Bools, Frame, Values, is_text
from beholder.eval._filter.statistics import Floats, Statistic
from beholder.eval._filter.texts import Pair

Evaluate = Callable[[Frame], Values]
Cut = tuple[str, float | Statistic]

LONGEST = 2000
"""Characters; nobody writes a longer rule by hand."""

_ORDER: Mapping[type, str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """One condition on rows, or one number of each.

    Attributes:
        text: as it was written.
        columns: the columns that it reads, in order.
        statistics: what it asks of whole columns.
        cuts: each column that it compares with a number, or with a quantile over all rows.
        numeric: each column that it uses as numbers -> what it is compared with, if that is one.
        pairs: columns that it compares with each other.
    """

    text: str
    columns: Sequence[str]
    statistics: Sequence[Statistic]
    cuts: Sequence[Cut]
    numeric: Mapping[str, str]
    pairs: Sequence[Pair]
    _evaluate: Evaluate

    def holds(self, rows: Frame) -> Bools:
        """(n,) whether each row fulfils it; of rows that divided by zero, see `rows.divides`.

        Raises ConfigError if texts meet numbers, or the outcome is neither True nor False.
        """
        values = self._of(rows)
        if not len(rows):
            return np.zeros(0, bool)
        try:
            return truths(values, len(rows))
        except ConfigError:
            raise ConfigError(
                f"{self.text!r} gives {sample(values)!r}; a rule is a comparison such as "
                "mps.overall > 0.3"
            ) from None

    def numbers(self, rows: Frame) -> Floats:
        """(n,) its number of each row; ConfigError if it is a text."""
        values = self._of(rows)
        if not len(rows):
            return np.zeros(0)
        if is_text(values):
            raise ConfigError(
                f"{self.text} is to rank rows and holds text such as {sample(values)[:40]!r}"
            )
        return np.broadcast_to(numbers(values), len(rows)).astype(np.float64)

    def _of(self, rows: Frame) -> Values:
        try:
            return self._evaluate(rows) if len(rows) else None
        except RecursionError as error:
            raise ConfigError("the rule is nested too deeply") from error


@dataclass(slots=True)
class _Asked:
    """What an expression reads."""

    columns: dict[str, None] = field(default_factory=dict)
    statistics: list[Statistic] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    numeric: dict[str, str] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)


def parse(text: str) -> list[Expression]:
    """The conditions of a rule that must all hold: the parts of its outermost `and`.

    Raises ConfigError if the text is not of the language.
    """
    return _parsed(text, lambda body: body.values if _is_and(body) else [body])  # type: ignore[attr-defined]


def parse_number(text: str) -> Expression:
    """A number of each row, such as a column or a sum; ConfigError if it is not of the language."""
    return _parsed(text, lambda body: [body], _number)[0]


def column(name: str) -> Expression:
    """The number of a column, whatever its name."""
    return Expression(name, [name], [], [], {name: ""}, [], lambda rows: rows.number(name))


def _parsed(
    text: str,
    parts: Callable[[ast.expr], Iterable[ast.expr]],
    compiled: Callable[[ast.expr, _Asked], Evaluate] | None = None,
) -> list[Expression]:
    if len(text) > LONGEST:
        raise ConfigError(f"the rule has {len(text)} characters, at most {LONGEST} are accepted")
    try:
        body = ast.parse(text.strip(), mode="eval").body
        return [_expression(part, compiled or _compile) for part in parts(body)]
    except SyntaxError as error:
        raise ConfigError(fault_in(text.strip(), error)) from error
    except (ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"cannot read the rule: {error or 'it is nested too deeply'}") from error


def _is_and(node: ast.expr) -> bool:
    return isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And)


def _expression(node: ast.expr, compiled: Callable[[ast.expr, _Asked], Evaluate]) -> Expression:
    asked = _Asked()
    evaluate = compiled(node, asked)
    return Expression(
        ast.unparse(node),
        list(asked.columns),
        asked.statistics,
        asked.cuts,
        asked.numeric,
        asked.pairs,
        evaluate,
    )


def _compile(node: ast.expr, asked: _Asked) -> Evaluate:
    name = _column_name(node)
    if name is not None:
        asked.columns[name] = None
        return lambda rows: rows.column(name)
    builder = _BUILDERS.get(type(node))
    if builder is None:
        raise ConfigError(
            f"{ast.unparse(node)!r} is not allowed in a rule; it may hold columns, numbers, texts, "
            "comparisons, and, or, not, in, + - * / and functions such as quantile(mps.total, 0.9)"
        )
    return builder(node, asked)


def _number(node: ast.expr, asked: _Asked, beside: str = "") -> Evaluate:
    """A part that is to be numbers; `beside` is the number that it is compared with."""
    part, name = _compile(node, asked), _column_name(node)
    if name is None:
        return part
    asked.numeric[name] = asked.numeric.get(name) or beside
    return lambda rows: rows.number(name)


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


def _constant(node: ast.Constant, asked: _Asked) -> Evaluate:
    value = node.value
    if not isinstance(value, (bool, int, float, str)):
        raise ConfigError(f"{ast.unparse(node)!r} is no number and no text")
    return lambda rows: value


def _boolean(node: ast.BoolOp, asked: _Asked) -> Evaluate:
    parts = [_compile(value, asked) for value in node.values]
    return _until(parts, decided_by=isinstance(node.op, ast.Or))


def _until(parts: Sequence[Evaluate], *, decided_by: bool) -> Evaluate:
    """The first part that is `decided_by` decides a row; without one it is the opposite."""

    def evaluate(rows: Frame) -> Bools:
        outcome = np.full(len(rows), not decided_by)
        places = np.arange(len(rows))
        for part in parts:
            decided = truths(part(rows), len(rows)) == decided_by
            outcome[places[decided]] = decided_by
            is_open = ~decided & ~rows.divides
            if not is_open.any():
                break
            places, rows = places[is_open], rows.where(is_open)
        return outcome

    return evaluate


def _unary(node: ast.UnaryOp, asked: _Asked) -> Evaluate:
    part = (_compile if isinstance(node.op, ast.Not) else _number)(node.operand, asked)
    if (literal := signed(node)) is not None:
        return lambda rows: literal
    if isinstance(node.op, ast.Not):
        return lambda rows: ~truths(part(rows), len(rows))
    if isinstance(node.op, ast.USub):
        return lambda rows: -numbers(part(rows))
    if isinstance(node.op, ast.UAdd):
        return lambda rows: numbers(part(rows))
    raise ConfigError(f"{ast.unparse(node)!r} is not allowed in a rule")


def _binary(node: ast.BinOp, asked: _Asked) -> Evaluate:
    combine = ARITHMETIC.get(type(node.op))
    if combine is None:
        raise ConfigError(f"{ast.unparse(node)!r}: only + - * / are allowed in a rule")
    if isinstance(node.op, ast.Div) and folded(node.right) == 0:
        raise ConfigError(f"{ast.unparse(node)!r} divides by zero, whatever the row")
    left, right = _number(node.left, asked), _number(node.right, asked)

    def evaluate(rows: Frame) -> Values:
        first, second = np.asarray(numbers(left(rows))), np.asarray(numbers(right(rows)))
        if isinstance(node.op, ast.Div):
            rows.divide_by_zero(np.asarray(second == 0))
        with np.errstate(all="ignore"):
            return combine(first, second)

    return evaluate


def _compare(node: ast.Compare, asked: _Asked) -> Evaluate:
    terms = [node.left, *node.comparators]
    links = [
        _link(left, op, right, asked)
        for left, op, right in zip(terms, node.ops, terms[1:], strict=False)
    ]
    return links[0] if len(links) == 1 else _until(links, decided_by=False)


def _link(left: ast.expr, op: ast.cmpop, right: ast.expr, asked: _Asked) -> Evaluate:
    if isinstance(op, (ast.In, ast.NotIn)):
        listed = members(right)
        is_texts = not listed or any(isinstance(member, str) for member in listed)
        first = _compile(left, asked) if is_texts else _number(left, asked, str(listed[0]))
        return lambda rows: is_member(first(rows), listed, len(rows)) == isinstance(op, ast.In)
    name = _ORDER.get(type(op))
    if name is None:
        raise ConfigError("`is` is not allowed in a rule; write == or !=")
    first = _side(left, right, asked)
    already = len(asked.statistics)
    second = _side(right, left, asked)
    owner, other = _column_name(left), _column_name(right)
    if owner and (level := _level(right, asked.statistics[already:])):
        asked.cuts.append((owner, level[0]))
    if owner and other:
        asked.pairs.append((owner, other, name))
        return lambda rows: _compared(name, *alike(*_columns(rows, owner, other)), len(rows))
    return lambda rows: _compared(name, *alike(first(rows), second(rows)), len(rows))


def _side(node: ast.expr, beside: ast.expr, asked: _Asked) -> Evaluate:
    """A side of a comparison; a column is used as numbers beside all but texts and columns."""
    is_text_literal = isinstance(beside, ast.Constant) and isinstance(beside.value, str)
    if is_text_literal or _column_name(beside) is not None:
        return _compile(node, asked)
    is_literal = isinstance(beside, ast.Constant) or folded(beside) is not None
    return _number(node, asked, ast.unparse(beside) if is_literal else "")


def _columns(rows: Frame, left: str, right: str) -> tuple[Values, Values]:
    """Two columns to compare, texts beside numbers as numbers."""
    first, second = rows.column(left), rows.column(right)
    if is_text(first) == is_text(second):
        return first, second
    return rows.number(left), rows.number(right)


def _level(node: ast.expr, statistics: Sequence[Statistic]) -> tuple[float | Statistic] | None:
    """The number, or the quantile over all rows, that a node is; None if it is something else."""
    if isinstance(node, ast.Call) and [s.kind for s in statistics if not s.by] == ["quantile"]:
        return (statistics[0],)
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return (float(value),) if type(value) in (int, float) else None


def _compared(name: str, left: Values, right: Values, count: int) -> Bools:
    if is_text(left) or is_text(right):
        import pyarrow.compute as pc  # noqa: PLC0415

        found: Bools = getattr(pc, name)(left, right).to_numpy(zero_copy_only=False)
        return found
    return np.broadcast_to(getattr(np, name)(left, right), count)


def _call(node: ast.Call, asked: _Asked) -> Evaluate:
    call = Call(
        name=node.func.id if isinstance(node.func, ast.Name) else "",
        text=ast.unparse(node),
        arguments=node.args,
        columns=[_column_name(argument) for argument in node.args],
        has_keywords=bool(node.keywords),
    )

    def ask(statistic: Statistic) -> None:
        asked.statistics.append(statistic)
        asked.numeric.setdefault(statistic.column, "")

    compiled = _number if call.name in ELEMENTWISE else _compile
    return called(call, lambda part: compiled(part, asked), ask)


_BUILDERS: Mapping[type, Callable[[Any, _Asked], Evaluate]] = {
    ast.Constant: _constant,
    ast.BoolOp: _boolean,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.Call: _call,
}
