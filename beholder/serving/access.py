"""Who may ask, and what the server may fetch: told on the command line and in the environment.

Secrets come from a file or the environment, never from the command line, which every user of a
machine can read.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

from beholder.errors import ConfigError, DataError
from beholder.serving._fetching.public_addresses import is_public
from beholder.serving.hosts import is_address, is_loopback, is_name
from beholder.serving.settings import Access
from beholder.serving.web_address import web_address

__all__ = ["LABEL_STUDIO_VARIABLE", "TOKEN_VARIABLE", "access_of", "is_loopback"]

TOKEN_VARIABLE = "BEHOLDER_TOKEN"
LABEL_STUDIO_VARIABLE = "LABEL_STUDIO_API_KEY"

_LOG = logging.getLogger(__name__)
_SHORTEST, _LONGEST = 16, 4096  # characters of a token
_NEW = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
_ALLOWED = re.compile(r"(?P<any>\*\.)?(?P<host>[^*/?#@\s]+)")


def access_of(
    host: str, port: int, token_file: Path | None, urls: tuple[str, ...], label_studio: str
) -> Access:
    """The checked rules of a server.

    The token that clients must send is in `token_file`, or else in BEHOLDER_TOKEN; that of Label
    Studio is in LABEL_STUDIO_API_KEY.

    Raises:
        ConfigError: if others than this machine could ask and there is no token, if a token is
            short or cannot be sent, if an address, port or host is none, or if pictures are to
            come from a host that is never at a public address.
    """
    address = _address(host)
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port takes a number in [0, 65535], got {port}")
    token = _token(token_file)
    if not token and not is_loopback(address):
        raise ConfigError(
            f"at {host} others than this machine can ask, so a token is needed: give --token-file "
            f"or set {TOKEN_VARIABLE} ({_NEW}), or listen at 127.0.0.1"
        )
    root = _label_studio(label_studio)
    return Access(
        host=address,
        port=port,
        token=token,
        urls=tuple(_allowed(url) for url in urls),
        label_studio=root,
        label_studio_token=_label_studio_token() if root else "",
    )


def _address(host: str) -> str:
    """Where to listen, without the brackets of an IPv6 address."""
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not is_address(plain) and not is_name(plain):
        raise ConfigError(
            f"--host takes an address or name such as 127.0.0.1, 0.0.0.0 or ::1, got {host!r}; "
            "a port is given with --port"
        )
    return plain


def _token(file: Path | None) -> str:
    if file is not None:
        return _checked(_read(file), str(file))
    said = os.environ.get(TOKEN_VARIABLE)
    return "" if said is None else _checked(said, TOKEN_VARIABLE)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(2 * _LONGEST).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"no token can be read from {file} ({type(error).__name__})") from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _LOG.warning("others can read the token in %s; chmod 600 it", file)
    return text


def _checked(said: str, where: str) -> str:
    """A token that can be sent as it is; messages never quote it."""
    token = said.strip()
    if not _SHORTEST <= len(token) <= _LONGEST:
        raise ConfigError(
            f"the token in {where} has {len(token)} characters, expected {_SHORTEST} to "
            f"{_LONGEST}; {_NEW}"
        )
    if not _can_be_sent(token):
        raise ConfigError(
            f"the token in {where} is not one word of visible ASCII characters; {_NEW}"
        )
    return token


def _can_be_sent(token: str) -> bool:
    """Whether every client sends it as the same bytes: they differ in how they encode others."""
    return all("!" <= c <= "~" for c in token)


def _label_studio_token() -> str:
    token = os.environ.get(LABEL_STUDIO_VARIABLE, "").strip()
    if not token or not _can_be_sent(token):
        raise ConfigError(
            f"{LABEL_STUDIO_VARIABLE} holds no token; put there the API token with which pictures "
            "of Label Studio may be fetched"
        )
    return token


def _allowed(said: str) -> str:
    """A host of the list, in ASCII and lower case, with its port if it has one."""
    found = _ALLOWED.fullmatch(said)
    try:
        address = web_address(f"http://{found['host']}/") if found else None
    except DataError:
        address = None
    if found is None or address is None or address.target != "/":
        raise ConfigError(
            f"--allow-urls takes a host such as cdn.example.org or *.example.org:8443, got {said!r}"
        )
    if found["any"] and ("." not in address.host or is_address(address.host)):
        raise ConfigError(
            f"--allow-urls {said} is too wide; name hosts, or all of one domain as *.example.org"
        )
    if is_loopback(address.host) or (is_address(address.host) and not is_public(address.host)):
        raise ConfigError(
            f"--allow-urls {said}: addresses of this machine and of private networks are never "
            "fetched; send the bytes of such pictures, or name their Label Studio as --label-studio"
        )
    port = re.search(r":(\d+)\Z", found["host"].rpartition("]")[2])
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{found['any'] or ''}{host}" + (f":{port[1]}" if port else "")


def _label_studio(said: str) -> str:
    """The root address without a closing slash; "" if none is said."""
    if not said:
        return ""
    try:
        address = web_address(said.strip())
    except DataError as error:
        raise ConfigError(f"--label-studio takes the address of a server: {error}") from error
    if "?" in address.target:
        raise ConfigError("--label-studio takes the root address of a server, without ?")
    if address.scheme == "http" and not is_loopback(address.host):
        _LOG.warning("the token goes to Label Studio at %s unencrypted; use https", address.root)
    return str(address).rstrip("/")
