"""Pictures that kill worker processes, so that each costs its workers once."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from dataclasses import replace

from beholder.serving.items import Fault, Item, Picture

MOST = 1024
"""Pictures that are remembered; of more, those that were asked for last."""

_SAID = "this picture has ended worker processes before; it is not tried again until a reload"


_Key = tuple[int, bytes]


class Poison:
    """Digests of pictures that no worker survived, each with the rewards that it was for.

    Args:
        most: that are remembered.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[_Key, None] = OrderedDict()
        self._sizes: Counter[int] = Counter()  # only of these is a picture hashed

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, item: Item) -> None:
        """No worker shall have that picture for those rewards again."""
        if isinstance(item.picture, Picture):
            self._known[_key(item.picture, item.rewards)] = None
            while len(self._known) > self._most:
                self._known.popitem(last=False)
            self._sizes = Counter(size for size, _ in self._known)

    def refused(self, item: Item) -> Item:
        """The same item, or one with a fault in place of a picture that is remembered."""
        picture = item.picture
        if isinstance(picture, Fault) or len(picture.data) not in self._sizes:
            return item
        key = _key(picture, item.rewards)
        if key not in self._known:
            return item
        self._known.move_to_end(key)
        return replace(item, picture=Fault("worker-died", _SAID))

    def forget(self) -> None:
        """Other workers may survive them."""
        self._known.clear()
        self._sizes.clear()


def _key(picture: Picture, rewards: tuple[str, ...]) -> _Key:
    form = (picture.encoding, picture.height, picture.width, sorted(rewards))
    digest = hashlib.sha256(repr(form).encode())
    digest.update(picture.data)
    return len(picture.data), digest.digest()
