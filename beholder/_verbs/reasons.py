"""Why a picture or video has no score, in words; tables and JSON keep the short codes."""

from __future__ import annotations

_WORDS = {
    "aspect": "far too long and narrow",
    "corrupt": "damaged file",
    "dtype": "pixels of a type that is not understood",
    "empty": "empty file",
    "format": "not a picture or video that can be read",
    "gap": "numbered frames with a gap",
    "memory": "too large for the memory",
    "missing": "file not found",
    "no-picture": "no picture given",
    "no-prompt": "no prompt given",
    "no-video": "no video given",
    "non-finite": "not a finite number",
    "not-a-file": "not a file",
    "pending": "not scored yet",
    "range": "pixels out of range",
    "shape": "unusable width, height or number of channels",
    "too-large": "too many pixels",
    "too-short": "too short a video",
    "truncated": "file cut off before its end",
    "type": "not a picture or video",
    "unreadable": "file that cannot be opened",
}


def in_words(reason: str) -> str:
    """The code of an `ItemError` in words; every other reason as it is."""
    return _WORDS.get(reason, reason)
