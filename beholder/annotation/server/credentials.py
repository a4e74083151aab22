"""The secrets of a local Label Studio: drawn at random, in a file that only the user can read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from beholder.errors import AnnotationError

FILE = "credentials.json"
PARTIAL = "credentials.json.partial"
EMAIL = "owner@localhost"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who owns the server: a log-in for the browser and a token for the API."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


def read_credentials(folder: Path) -> Credentials:
    """The secrets in a server's folder.

    Raises AnnotationError if the file is missing, damaged or readable by others.
    """
    path = folder / FILE
    try:
        shared = path.stat().st_mode & 0o077
        given = json.loads(path.read_text(encoding="utf-8"))
        found = Credentials(given["email"], given["password"], given["token"])
    except FileNotFoundError as error:
        raise AnnotationError(f"{folder} holds no {FILE}; is it a server's folder?") from error
    except (ValueError, KeyError, TypeError):
        raise AnnotationError(f"{path} is damaged; expected email, password and token") from None
    if shared:
        raise AnnotationError(f"others can read {path}; chmod 600 it, as it holds a token")
    return found


def make_credentials(folder: Path) -> Credentials:
    """The secrets in a server's folder, drawn now if there are none."""
    path, partial = folder / FILE, folder / PARTIAL
    if not path.exists():
        partial.unlink(missing_ok=True)
        drawn = {
            "email": EMAIL,
            "password": secrets.token_urlsafe(18),
            "token": secrets.token_hex(20),
        }
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(drawn, file)
        partial.replace(path)
    return read_credentials(folder)
