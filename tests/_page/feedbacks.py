"""Hand-made feedback on small pictures and photographs."""

import torch
from PIL import Image
from torch import Tensor

from beholder._page.feedback import PictureFeedback
from beholder.images import ImageSource
from beholder.types import RATED, WordLabel
from beholder.words import word_spans
from tests._page.photographs import photograph


def labelled(prompt: str, p_misaligned: list[float]) -> list[WordLabel]:
    """The words of a prompt; the probabilities repeat."""
    return [
        WordLabel(prompt[start:end], start, end, p_misaligned[k % len(p_misaligned)])
        for k, (start, end) in enumerate(word_spans(prompt))
    ]


def spot(x: float, y: float, sigma: float, top: float = 1.0) -> Tensor:
    """A bright spot on a map of 48 x 48."""
    at = (torch.arange(48) + 0.5) / 48
    return top * torch.exp(-((at - x).square() + (at[:, None] - y).square()) / (2 * sigma**2))


def said_of(
    prompt: str,
    *,
    image: ImageSource | None = None,
    scores: tuple[float, ...] = (0.62, 0.48, 0.83, 0.7),
    p_misaligned: list[float] | None = None,
) -> PictureFeedback:
    """Feedback with two maps and four scores on a grey picture, or that of `image`."""
    return PictureFeedback(
        image=Image.new("RGB", (60, 40), (128, 128, 128)) if image is None else image,
        prompt=prompt,
        scores=dict(zip(RATED, scores, strict=True)),
        maps={"implausibility": spot(0.3, 0.4, 0.1), "misalignment": torch.zeros(48, 48)},
        words=labelled(prompt, p_misaligned or [0.1, 0.9, 0.3]),
    )


def of_photograph(name: str, prompt: str) -> PictureFeedback:
    """A photograph with a prediction and, beside it, the truth."""
    picture = photograph(name)
    truth = said_of(prompt, image=picture, scores=(0.7, 0.5, 0.75, 0.66), p_misaligned=[0, 0, 1])
    return said_of(prompt, image=picture).beside(truth)
