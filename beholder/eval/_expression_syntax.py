"""What is wrong with a rule that Python's grammar does not take, and where."""

from __future__ import annotations

import io
import tokenize

_AROUND = 24  # characters that are shown before the place


def fault_in(text: str, error: SyntaxError) -> str:
    """One line for a rule that cannot be parsed."""
    said = f"cannot read the rule {text!r}: "
    if _assigns(text):
        return f"{said}= sets a value; write == to compare"
    message, at = error.msg, error.offset or 0
    if not text:
        return f"{said}it is empty"
    if message == "invalid syntax" and not 0 < at <= len(text):
        return f"{said}it ends after {_end(text)!r}, where a column, number or text is expected"
    return f"{said}{message} at character {max(at, 1)}, {text[max(at, 1) - 1 :][:_AROUND]!r}"


def _assigns(text: str) -> bool:
    """Whether a lone = stands outside the quotes."""
    try:
        return any(t.string == "=" for t in tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return False


def _end(text: str) -> str:
    return text[-_AROUND:].strip()
