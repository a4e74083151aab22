"""What went wrong between us and a server, in words that hold no secret.

The errors of the SDK print answers' headers, session cookies among them, and those of httpx can
quote the token; so only what is named here reaches a message, and nothing is chained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from beholder.errors import AnnotationError

LONGEST = 300
"""Characters of a server's own words that a message quotes."""
UNLIKE = "the answer is not what Label Studio answers"
ADVICE = {
    400: "the request does not fit",
    401: "the token is refused; give a valid one",
    403: "this user may not do that",
    404: "not found",
    408: "the server gave up waiting",
    409: "it exists already",
    413: "the request is too large",
    429: "too many requests; wait a little",
}


class UnavailableError(AnnotationError):
    """A failure that may pass: the server is down, overloaded, failing or does not answer."""


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """Turn what the SDK and httpx raise into a one-line AnnotationError, such as "doing: why".

    It is an UnavailableError where trying again later may help. Headers, cookies, tokens and pages
    of the answer are left out, also from the traceback.
    """
    import httpx  # noqa: PLC0415
    from label_studio_sdk.core.api_error import ApiError  # noqa: PLC0415
    from label_studio_sdk.core.parse_error import ParsingError  # noqa: PLC0415

    try:
        yield
    except ApiError as error:
        raise _refusal(doing, error.status_code or 0, error.body) from None
    except httpx.HTTPStatusError as error:
        raise _refusal(doing, error.response.status_code, None) from None
    except httpx.TimeoutException:
        raise UnavailableError(f"{doing}: no answer in time") from None
    except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL):
        raise AnnotationError(f"{doing}: the address or token cannot be sent") from None
    except httpx.ConnectError as error:
        reason = one_line(str(error))
        raise UnavailableError(f"{doing}: no connection ({reason}); is it up?") from None
    except (httpx.TransportError, httpx.StreamError):
        raise UnavailableError(f"{doing}: the connection broke off") from None
    except (ParsingError, httpx.HTTPError, ValueError):
        raise AnnotationError(f"{doing}: {UNLIKE}") from None


def one_line(text: str) -> str:
    """Printable text on one line, at most LONGEST characters of it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST]


def _refusal(doing: str, status: int, body: object) -> AnnotationError:
    kind = UnavailableError if status >= 500 or status in {408, 429} else AnnotationError
    return kind(f"{doing}: {_reason(status, body)}")


def _reason(status: int, body: object) -> str:
    detail = one_line("; ".join(_said(body)))
    if status < 300:
        return detail or UNLIKE
    if 300 <= status < 400:
        return f"it redirects elsewhere ({status}); give the address that it redirects to"
    advice = ADVICE.get(status) or ("the server failed" if status >= 500 else "refused")
    return f"{advice} ({status})" + (f": {detail}" if detail else "")


def _said(body: object) -> Iterator[str]:
    """The server's own words: its validation errors, or else its detail; never a whole page."""
    if isinstance(body, Mapping):
        yield from list(_texts(body.get("validation_errors"))) or list(_texts(body.get("detail")))
    elif isinstance(body, str) and "<" in body:
        yield "a page came; is the address right, and the call not of the Enterprise edition?"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from (f"{name}: {text}" for text in _texts(inner))
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _texts(inner)
