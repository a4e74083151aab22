"""How the server works: what it serves, with what, for whom, and how much it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from beholder.images import LIMITS, Alpha, Limits
from beholder.rewards._prompts import MAX_PROMPT_CHARACTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """The largest request that is taken.

    Attributes:
        body: bytes of a request.
        items: of a request.
        prompt: characters.
        pictures: of each picture.
        body_seconds: in which a body must come; and for which one waits at most, while an answer
            is written, for a client that reads less than 16 KiB in a second.
        header_seconds: in which the first request of a connection must begin and its header end.
        connections: that are open at once.
        bodies: bytes of all bodies, of the pictures that are read out of them or fetched, and of
            the maps and words of answers, that are held at once. Beyond it stands what is only
            for a moment: to understand JSON takes its bytes twice more as text (eight times, where
            a character is outside the basic plane), for two bodies at a time; and the last 64 KiB
            of each connection.
    """

    body: int = 64 * 2**20
    items: int = 256
    prompt: int = MAX_PROMPT_CHARACTERS
    pictures: Limits = LIMITS
    body_seconds: float = 30.0
    header_seconds: float = 10.0
    connections: int = 1024
    bodies: int = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What makes a worker process; every one is alike but for its device.

    Attributes:
        rewards: name under which it is served -> what `beholder.load` takes, and its options.
        device: where the rewards go; None is the CPU.
        dtype: "fp32", "bf16" or "fp16"; None keeps what the weights are loaded in.
        batch_size: pictures in one pass of a model.
        alpha: behind transparent pixels.
        threads: of torch on the CPU.
        decoders: threads that decode; None takes min(8, CPU count).
        pictures: the largest picture that is decoded.
    """

    rewards: Mapping[str, tuple[str, Mapping[str, object]]]
    device: str | None = None
    dtype: str | None = None
    batch_size: int = 32
    alpha: Alpha = "white"
    threads: int = 1
    decoders: int | None = None
    pictures: Limits = LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How worker processes are kept.

    Attributes:
        workers: one process each.
        queue: items that may be accepted and unanswered at once; more are refused.
        queue_bytes: the same of their pictures.
        attempts: how often an item is tried whose worker dies.
        stall_seconds: a worker that answers nothing for so long while it has work is killed.
    """

    workers: tuple[WorkerSettings, ...]
    queue: int = 1024
    queue_bytes: int = 512 * 2**20
    attempts: int = 2
    stall_seconds: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may ask, and what the server itself may fetch.

    Attributes:
        host, port: that it listens on.
        token: that must come with every request but those for health; "" needs none, which is for
            loopback only.
        urls: hosts that pictures may be fetched from, such as "cdn.example.org" or
            "*.example.org:8443"; none lets no picture be fetched.
        label_studio: address of the one Label Studio whose own pictures may be fetched, also at a
            private address; "" if none.
        label_studio_token: for that; from the environment.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)
    urls: tuple[str, ...] = ()
    label_studio: str = ""
    label_studio_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Everything.

    Attributes:
        timeout: seconds in which a request must be answered.
        drain_seconds: for what was accepted, once the server is told to end.
    """

    pool: PoolSettings
    access: Access = Access()
    limits: RequestLimits = RequestLimits()
    timeout: float = 60.0
    drain_seconds: float = 20.0
