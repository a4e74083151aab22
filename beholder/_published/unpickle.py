"""A pickle read as data: whatever it says, nothing is imported, called or set.

A pickle is a program, and some published rewards are pickled modules. `torch.load` runs it with
`weights_only=False`; with `weights_only=True` it refuses modules, and a megabyte of nested tuples
as a key crashes the process. Here the opcodes are stepped through by hand: a class stays a `Name`,
a call stays a `Call` with its arguments, and time and memory grow no faster than the input.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_OPCODES = 5_000_000
"""A module of 1,000 layers takes about 200,000."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or function as "module.attribute"; it is never looked up."""

    path: str


@dataclass(slots=True, eq=False)
class Call:
    """An object that the pickle wants built by calling `function`; it never is.

    Attributes:
        state: what the object's `__setstate__` or `__dict__` would have been given.
        items: entries that would have been set on the object.
    """

    function: str
    arguments: tuple[object, ...] = ()
    state: object = None
    items: dict[str | int, object] = field(default_factory=dict)


def read_pickle(stream: io.BytesIO, outside: Callable[[tuple[object, ...]], object]) -> object:
    """What the next pickle of a stream describes; the stream is left behind its end.

    The tree holds numbers, text, bytes, lists, tuples, dicts, `Name`, `Call` and what `outside`
    gives for the identity of an object that is kept elsewhere, such as the bytes of a tensor. Sets
    become lists, an OrderedDict a dict, and entries whose key is no text or integer are dropped.
    The tree may be cyclic and nested to any depth: walk it without recursion.

    Raises ValueError if the pickle is broken or huge.
    """
    machine = _Machine(outside)
    for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
        if count >= MAX_OPCODES:
            raise ValueError(f"its pickle has more than {MAX_OPCODES} opcodes")
        if opcode.name not in _STEPS:
            raise ValueError(f"its pickle uses opcode {opcode.name}, which torch.save never writes")
        try:
            _STEPS[opcode.name](machine, argument)
        except (TypeError, LookupError, ValueError) as error:
            where = f"byte {position} ({opcode.name})"
            raise ValueError(f"its pickle is broken at {where}: {error}") from error
    if not machine.stack:
        raise ValueError("its pickle describes nothing")
    return machine.stack.pop()


class _Machine:
    def __init__(self, outside: Callable[[tuple[object, ...]], object]) -> None:
        self.outside = outside
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self, _: object) -> None:
        self.marks.append(len(self.stack))

    def marked(self) -> list[object]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def drop(self, _: object) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def make_tuple(self, size: int) -> None:
        values = [self.stack.pop() for _ in range(size)]
        self.push(tuple(reversed(values)))

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.push(self.memo[index])

    def extend(self, values: list[object]) -> None:
        if isinstance(target := self.stack[-1], list):
            target.extend(values)

    def update(self, pairs: Iterable[tuple[object, object]]) -> None:
        target = self.stack[-1]
        entries = target.items if isinstance(target, Call) else target
        if not isinstance(entries, dict):
            raise TypeError(f"an entry is set on a {type(target).__name__}")
        entries.update(_plain_keys(pairs))

    def name(self, path: str) -> None:
        self.push(Name(path.replace(" ", ".", 1).replace("__builtin__.", "builtins.")))

    def stacked_name(self, _: object) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(attribute, str) and isinstance(module, str)):
            raise TypeError("a class is named by something other than text")
        self.name(f"{module} {attribute}")

    def call(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.push(_inert(function, arguments))

    def call_with_keywords(self, _: object) -> None:
        self.stack.pop()
        self.call(None)

    def call_marked(self, path: str | None) -> None:
        values = self.marked()
        if path is not None:  # INST brings its class along, OBJ pushed it behind the mark
            self.name(path)
            values.insert(0, self.stack.pop())
        self.push(_inert(values[0], tuple(values[1:])))

    def build(self, _: object) -> None:
        state = self.stack.pop()
        if isinstance(target := self.stack[-1], Call):
            target.state = state


def _inert(function: object, arguments: object) -> object:
    path = function.path if isinstance(function, Name) else "an object"
    values = sequence(arguments)
    if path in {"collections.OrderedDict", "builtins.dict"}:
        pairs = [sequence(pair) for pair in sequence(values[0] if values else ())]
        return _plain_keys((pair[0], pair[1]) for pair in pairs)
    if path in {"builtins.set", "builtins.frozenset", "builtins.list"}:
        return list(sequence(values[0] if values else ()))
    return Call(path, values)


def sequence(value: object) -> tuple[object, ...]:
    """The elements of a tuple or list; TypeError for anything else."""
    if not isinstance(value, tuple | list):
        raise TypeError(f"expected a tuple, got a {type(value).__name__}")
    return tuple(value)


def _plain_keys(pairs: Iterable[tuple[object, object]]) -> dict[str | int, object]:
    # Hashing a deeply nested tuple overflows the interpreter's stack.
    return {key: value for key, value in pairs if isinstance(key, str | int)}


def _pairs(values: list[object]) -> Iterator[tuple[object, object]]:
    return zip(values[::2], values[1::2], strict=True)


_LITERALS = (
    "NONE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING "
    "SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8"
)
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    **dict.fromkeys(_LITERALS.split(), _Machine.push),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda m, _: m.push([])),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda m, _: m.push(m.marked())),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda m, _: m.extend(m.marked())),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.make_tuple(1),
    "TUPLE2": lambda m, _: m.make_tuple(2),
    "TUPLE3": lambda m, _: m.make_tuple(3),
    "TUPLE": lambda m, _: m.push(tuple(m.marked())),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": lambda m, _: m.push(_plain_keys(_pairs(m.marked()))),
    "SETITEM": lambda m, _: m.update([(m.stack.pop(-2), m.stack.pop())]),
    "SETITEMS": lambda m, _: m.update(_pairs(m.marked())),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stacked_name,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.call),
    "NEWOBJ_EX": _Machine.call_with_keywords,
    **dict.fromkeys(("INST", "OBJ"), _Machine.call_marked),
    "BUILD": _Machine.build,
    "BINPERSID": lambda m, _: m.push(m.outside(sequence(m.stack.pop()))),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _machine, _: None),
}
