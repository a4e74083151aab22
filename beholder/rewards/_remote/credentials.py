"""The token of a server, from where it may come: never an address, never what is saved."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from beholder.errors import ConfigError

VARIABLE = "BEHOLDER_TOKEN"
"""The environment variable that holds the token if none is given."""

SHORTEST = 16
"""Characters; a server that is given a shorter token does not start."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the token is; one from a file or the environment is read there when it is needed.

    So a copy that another process gets holds no token but one that was given as such.

    Attributes:
        token: as it was given; "" if it was not.
        file: that holds it; None if there is none.
    """

    token: str = field(default="", repr=False)
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.token and self.file is not None:
            raise ConfigError("token and token_file are both given; leave one of them out")

    def read(self) -> str:
        """The token; "" if there is none anywhere.

        Raises ConfigError if the file cannot be read or is empty, or the token holds what no header
        can carry; the token is not part of the message.
        """
        if self.file is not None:
            return _checked(_in_file(self.file), f"the token in {self.file}")
        if self.token:
            return _checked(self.token, "the token that was given")
        return _checked(os.environ.get(VARIABLE, ""), f"the token in {VARIABLE}")


def _in_file(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"cannot read the token in {path}: {why}") from None
    if not token:
        raise ConfigError(f"the token file {path} is empty")
    return token


def _checked(token: str, where: str) -> str:
    plain = token.strip()
    if not all("!" <= character <= "~" for character in plain):
        raise ConfigError(f"{where} holds a space or what is not ASCII; a header cannot carry it")
    return plain
