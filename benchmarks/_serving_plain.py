"""A server that scores one request at a time: what one writes without thinking of batches."""

from __future__ import annotations

import argparse
import base64
import threading
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI

import beholder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("reward")
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    reward, one = beholder.load(given.reward), threading.Lock()
    app = FastAPI()

    @app.post("/v1/score")
    def score(body: dict[str, Any]) -> dict[str, object]:
        (item,) = body["items"]
        with one:
            scores = reward.score(base64.b64decode(item["image"]), item["prompt"])
        return {"results": [{"scores": {"it": {"total": scores.total.item()}}}]}

    uvicorn.run(app, port=given.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
