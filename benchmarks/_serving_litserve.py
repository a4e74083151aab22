"""The reward behind LitServe, as its documentation has it: decode, batch, predict, encode.

LitServe reads annotations, so that they must not be text.
"""

import argparse
import base64
from collections.abc import Sequence
from typing import Any

import litserve  # type: ignore[import-not-found]
import torch
from torch import Tensor

import beholder
from beholder.images import read_image

WAIT_SECONDS = 0.005
Decoded = tuple[Tensor, str]


class Api(litserve.LitAPI):
    """Scores, one picture with its prompt a request."""

    def __init__(self, reward: str, batch: int) -> None:
        super().__init__(
            max_batch_size=batch,
            batch_timeout=WAIT_SECONDS if batch > 1 else 0.0,
            api_path="/v1/score",
        )
        self._name, self._batched = reward, batch > 1

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self._reward = beholder.load(self._name)

    def decode_request(self, request: dict[str, Any]) -> Decoded:
        (item,) = request["items"]
        return read_image(base64.b64decode(item["image"])), item["prompt"]

    def batch(self, inputs: Sequence[Decoded]) -> Sequence[Decoded]:
        return inputs

    def predict(self, x: Decoded | Sequence[Decoded]) -> list[float] | float:
        pairs: Any = x if self._batched else [x]
        pictures, prompts = zip(*pairs, strict=True)
        totals = self._reward.score(list(pictures), list(prompts)).total.tolist()
        return totals if self._batched else totals[0]

    def unbatch(self, output: list[float]) -> list[float]:
        return output

    def encode_response(self, output: float) -> dict[str, object]:
        return {"results": [{"scores": {"it": {"total": output}}}]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("reward")
    parser.add_argument("batch", type=int)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    server = litserve.LitServer(Api(given.reward, given.batch), accelerator="cpu", timeout=60)
    server.run(port=given.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
