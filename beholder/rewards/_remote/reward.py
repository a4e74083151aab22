"""A reward that a server scores with: `beholder.load("http://host:8000/mps")`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from typing_extensions import override

from beholder.errors import ConfigError, WeightsError
from beholder.rewards._base import Reward, RewardCard, take_options
from beholder.rewards._preprocess import Fitting
from beholder.rewards._remote.address import parsed
from beholder.rewards._remote.answers import scores_of
from beholder.rewards._remote.asking import Asking
from beholder.rewards._remote.credentials import Credentials
from beholder.rewards._remote.identity import canonical, difference
from beholder.rewards._remote.pixels import marked, raw
from beholder.rewards._remote.retries import Retries
from beholder.rewards._remote.served import Served, served_of
from beholder.rewards._remote.session import Session
from beholder.types import Scores

_ABSENT = 10.0
_NOTHING: dict[str, object] = {"rewards": []}
"""What a server may say while it loads."""

_OPTIONS = {"address", "token", "token_file", "timeout", "patience"}


@final
class RemoteReward(Reward):
    """Scores as the reward of a server gives them, to 1e-5 those of the same reward here.

    8-bit pictures travel as bytes, shrunk as far as the server's reward allows, float ones as
    floats. No gradient comes back. If the server goes over to other weights nothing is scored any
    more: the numbers of two models are never mixed.

    Its only option is the address; token, timeout and patience are how it is asked, and are not
    saved.

    Args:
        session: a client of the server.
        served: what the server says of the reward.
    """

    card: ClassVar[RewardCard] = RewardCard(
        name="remote",
        measures="what the server's reward does",
        paper="the server's",
        weights_license="the server's",
        weights="the server's",
        differentiable=False,
        notes=("scored by a server; its dtype and device are the server's",),
    )

    def __init__(self, session: Session, served: Served) -> None:
        super().__init__()
        self.session = session
        self.served = served
        self._asking = Asking(session, served)
        vars(self)["card"] = served.card

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> RemoteReward:
        given = take_options(options, _OPTIONS, "a reward of a server")
        address = given.pop("address", None)
        if not isinstance(address, str):
            raise ConfigError(f"a reward of a server needs its address, got {address!r}")
        return build(address, **cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {"address": f"{self.session.address.base}/{self.served.name}"}

    @override
    def deciding(self) -> dict[str, object]:
        """None: wherever it is served, the same weights give the same numbers."""
        return {}

    @property
    @override
    def fitting(self) -> Fitting | None:
        return self.served.fitting

    @override
    def get_extra_state(self) -> Tensor:
        """The identity of what the server scores with: a hash of the weights is a hash of it."""
        return torch.tensor(list(self._identity()), dtype=torch.uint8)

    @override
    def set_extra_state(self, state: Tensor) -> None:
        """Raises WeightsError unless the server still scores with what was saved."""
        saved = bytes(state.flatten().to(torch.uint8).tolist())
        if saved != self._identity():
            raise WeightsError(
                f"{self.options()['address']} serves other weights or another version than when "
                f"this was saved ({self._changes(saved)}); load the address itself to take "
                "what it serves now"
            )

    def _changes(self, saved: bytes) -> str:
        try:
            before = json.loads(saved)
        except ValueError:
            before = None
        return difference(before, self.served.identity) if isinstance(before, dict) else "damaged"

    @override
    def extra_repr(self) -> str:
        """Where it is; its token is not shown."""
        return f"{self.options()['address']!r}, name={self.card.name!r}"

    def _identity(self) -> bytes:
        return canonical(self.served.identity).encode()

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """The pixels themselves, shrunk and so marked that 8-bit ones are known from floats."""
        return marked(pixels if self.fitting is None else self.fitting.shrink(pixels))

    @override
    def forward(self, pixels: Tensor, prompts: Sequence[str]) -> Scores:
        """As of every reward; raises ConfigError if pixels ask for a gradient."""
        if torch.is_grad_enabled() and pixels.requires_grad:
            raise ConfigError(
                f"no gradient comes back from the server of {self.card.name}; load the reward in "
                "this process, or learn without gradient, as algorithm dpo or nft do"
            )
        return super().forward(pixels, prompts)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        """Raises ServerError if the server gives no answer, or one of another model."""
        pictures = [raw(row) for row in pixel_values.detach().cpu()]
        scores = scores_of(self._asking.rows(pictures, prompts), self.served)
        return scores if pixel_values.device.type == "cpu" else _moved(scores, pixel_values.device)


def build(
    address: str,
    *,
    token: str = "",
    token_file: str | Path | None = None,
    timeout: float = 90.0,
    patience: float = 300.0,
) -> RemoteReward:
    """The reward at an address.

    Args:
        address: "http://host:port/mps"; without a name, the first that is served.
        token: of the server; better in the environment variable BEHOLDER_TOKEN.
        token_file: holds the token.
        timeout: seconds that one answer may take; longer than the server's own limit.
        patience: seconds after which a server that is away or busy is given up.

    Raises:
        ConfigError: if the address is none, or serves no such reward, or an option is wrong.
        ServerError: if the server gives no answer.
    """
    session = Session(
        address=parsed(address),
        credentials=Credentials(token, None if token_file is None else Path(token_file)),
        timeout=timeout,
        retries=Retries(patience=patience),
    )
    session.warn_if_open()
    return RemoteReward(session, _found(session))


def _found(session: Session) -> Served:
    """What the server says of the reward, once it is ready; soon given up if nothing is there."""
    reply = session.get("/v1/rewards", absent=_ABSENT, is_ready=lambda said: said != _NOTHING)
    served = served_of(reply.body, RemoteReward.card)
    by_name = {one.name: one for one in served}
    wanted = session.address.reward
    if wanted in by_name:
        return by_name[wanted]
    if not wanted and served:
        return served[0]
    raise ConfigError(
        f"{session.address.base} serves no reward {wanted!r}; it serves "
        f"{', '.join(by_name) or 'none'}"
    )


def _moved(scores: Scores, device: torch.device) -> Scores:
    def there(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in values.items()}

    return Scores(
        total=scores.total.to(device),
        aspects=there(scores.aspects),
        maps=there(scores.maps),
        words=scores.words,
        errors=scores.errors,
        deviations=there(scores.deviations),
    )
