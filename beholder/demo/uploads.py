"""Pictures come as uploads alone: a client may name neither an address nor another file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from gradio import Blocks

_FETCHING = ("get", "async_validate_url")
"""Through these of safehttpx Gradio asks other hosts for what a client names."""


def uploads_alone(page: Blocks) -> None:
    """From here on Gradio opens, for a client of the page, no file but those that were uploaded.

    Addresses are refused in the whole process, before their host is resolved.
    """
    fetcher = importlib.import_module("safehttpx")  # it has no types
    page.has_launched = True  # of a page that is mounted Gradio would check no path
    for name in _FETCHING:
        setattr(fetcher, name, _refuse)


def uploaded(path: str) -> str:
    """The path of an upload; gradio.Error for any other, which Gradio lets through unmarked."""
    from gradio import Error  # noqa: PLC0415
    from gradio.utils import get_upload_folder  # noqa: PLC0415

    if not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise Error(
            "only a picture that was uploaded to this page is opened", print_exception=False
        )
    return path


async def _refuse(address: str, *_: Any, **__: Any) -> NoReturn:
    from gradio import Error  # noqa: PLC0415

    raise Error("an address is not fetched; upload the picture itself", print_exception=False)
