"""The reward behind Ray Serve: one replica, whose batches wait as briefly as LitServe's."""

from __future__ import annotations

import argparse
import base64
import os
import signal
from collections.abc import Sequence
from typing import Any

import ray
import torch
from ray import serve
from starlette.requests import Request

import beholder
from beholder.images import read_image

WAIT_SECONDS = 0.005
Pair = tuple[str, str]


class Scorer:
    """Scores, one picture with its prompt a request."""

    def __init__(self, reward: str, batch: int) -> None:
        torch.set_num_threads(1)
        self._reward = beholder.load(reward)
        self._batch = batch
        batched = serve.batch(max_batch_size=batch, batch_wait_timeout_s=WAIT_SECONDS)
        self._totals = batched(self._scored)

    async def _scored(self, pairs: list[Pair]) -> list[float]:
        return self._score(pairs)

    def _score(self, pairs: Sequence[Pair]) -> list[float]:
        pictures = [read_image(base64.b64decode(picture)) for picture, _ in pairs]
        scores = self._reward.score(pictures, [prompt for _, prompt in pairs])
        totals: list[float] = scores.total.tolist()
        return totals

    async def __call__(self, request: Request) -> dict[str, object]:
        body: dict[str, Any] = await request.json()
        (item,) = body["items"]
        pair = item["image"], item["prompt"]
        total = await self._totals(pair) if self._batch > 1 else self._score([pair])[0]
        return {"results": [{"scores": {"it": {"total": total}}}]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("reward")
    parser.add_argument("batch", type=int)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    ray.init(
        address="local",
        num_cpus=max(2, os.cpu_count() or 2),
        object_store_memory=128 * 2**20,
        include_dashboard=False,
        configure_logging=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": given.port})
    deployed = serve.deployment(Scorer, num_replicas=1, max_ongoing_requests=1000)
    serve.run(deployed.bind(given.reward, given.batch), route_prefix="/v1/score")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()


if __name__ == "__main__":
    main()
