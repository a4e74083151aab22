"""Python imports this first in the processes that a page starts: stand-ins go in on import."""

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from tests.docs.stand_ins import Change, wanted


class Changed(importlib.abc.Loader):
    """The module's own loader, and then the change."""

    def __init__(self, own: importlib.abc.Loader, change: Change) -> None:
        self._own, self._change = own, change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._own.exec_module(module)
        self._change.put(module)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that are changed, each once."""

    def __init__(self) -> None:
        self._changes = wanted()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        change = self._changes.pop(name, None)
        spec = importlib.util.find_spec(name) if change else None
        if change and spec and spec.loader:
            spec.loader = Changed(spec.loader, change)
        return spec


sys.meta_path.insert(0, Finder())
