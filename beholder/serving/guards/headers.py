"""Headers of a request, and those that every answer carries."""

from __future__ import annotations

from starlette.types import Message, Scope

_ALWAYS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


def values(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header of a request; `name` is in lower case."""
    return [value for key, value in scope["headers"] if key.lower() == name]


def only_value(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header that a request has once; None if it has none or contradicts itself."""
    found = values(scope, name)
    return found[0] if len(found) == 1 else None


def has_body(scope: Scope) -> bool:
    """Whether the headers of a request announce a body, of any length that is not 0."""
    lengths = values(scope, b"content-length")
    return bool(values(scope, b"transfer-encoding")) or any(text != b"0" for text in lengths)


def with_headers(start: Message, request_id: str) -> Message:
    """The beginning of an answer, with its id and what keeps browsers from misusing it.

    What the application says of the same stays, such as the policy of a page with scripts.
    """
    said = list(start.get("headers", ()))
    names = {name.lower() for name, _ in said}
    added = [(name, value) for name, value in _ALWAYS if name not in names]
    kept = [(name, value) for name, value in said if name.lower() != b"x-request-id"]
    return {**start, "headers": [*kept, *added, (b"x-request-id", request_id.encode("ascii"))]}
