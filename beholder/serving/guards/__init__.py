"""What stands between the network and the application, as pure ASGI, from outside to inside.

`watch` gives every request an id, a line in the log and a count, and answers what nobody foresaw;
`callers` hears only who may ask; `request_bodies` lets in whole bodies of bounded size. These two
refuse by raising a `RefusalError`, which `watch` answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from beholder.serving.context import Context


def guarded(app: ASGIApp, context: Context) -> ASGIApp:
    """The application, heard only by those who may ask and with bodies that it can hold."""
    from beholder.serving.guards.callers import Callers  # noqa: PLC0415
    from beholder.serving.guards.request_bodies import RequestBodies  # noqa: PLC0415
    from beholder.serving.guards.watch import Watch  # noqa: PLC0415

    bounded = RequestBodies(app, context.settings.limits)
    return Watch(Callers(bounded, context.settings.access), context.metrics)
