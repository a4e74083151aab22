"""A judge that knows the truth: a small network trained on the true faults of fresh pictures.

It shares nothing with the rewards: no annotator, no judgement, no tower. It learns, of pictures
rendered for it alone at the painter's size, how strong each fault is and which object is drawn;
the qualities follow by the quickstart's own definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from beholder.quickstart.degrade import CHECKPOINTS, WEIGHTS, degrade, draw_faults
from beholder.quickstart.painter import SIDE
from beholder.quickstart.scenes import COLOURS, PLACES, SHAPES, Thing, render, scenes

_FAULTS = ("cast", "dull", "blur", "noise", "blocks")
_NAMES = (tuple(COLOURS), SHAPES, tuple(PLACES))
_CHANNELS = 24


@dataclass(frozen=True, slots=True)
class Truth:
    """Pictures (n, 3, h, w) in [0, 1], their faults (n, 5) in [0, 1], and names of the object.

    `things` (n, 3) are rows in the names of colours, shapes and places.
    """

    pixels: Tensor
    faults: Tensor
    things: Tensor


class TruthJudge(nn.Module):
    """Tells faults and object of pictures of `SIDE` pixels."""

    def __init__(self) -> None:
        super().__init__()
        w = _CHANNELS
        self.body = nn.Sequential(
            *_block(5, w, 2), *_block(w, w), *_block(w, 2 * w, 2), *_block(2 * w, 2 * w),
            *_block(2 * w, 4 * w, 2), *_block(4 * w, 4 * w),
        )  # fmt: skip
        self.head = nn.Linear(8 * w, len(_FAULTS) + sum(map(len, _NAMES)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Logits of faults (b, 5) and of each of the object's names (b, k)."""
        line = torch.linspace(-1, 1, SIDE)
        place = torch.stack(torch.meshgrid(line, line, indexing="ij"))
        place = place.expand(len(pixels), 2, SIDE, SIDE)
        states = self.body(torch.cat([pixels * 2 - 1, place], 1)).flatten(2)
        told: Tensor = self.head(torch.cat([states.mean(2), states.amax(2)], 1))
        return tuple(torch.split(told, [len(_FAULTS), *map(len, _NAMES)], 1))

    @torch.no_grad()
    def score(self, pixels: Tensor, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Aspect -> qualities (b) in [0, 1] of pictures (b, 3, h, w) in [0, 1] for their prompts.

        Alignment is the expected share of the object's names that are as the prompt says.
        """
        self.eval()
        small = functional.interpolate(pixels.float(), [SIDE, SIDE], mode="area")
        faults, *names = self(small)
        asked = torch.tensor([_asked(prompt) for prompt in prompts])
        right = [
            logits.softmax(1).gather(1, asked[:, k, None])[:, 0] for k, logits in enumerate(names)
        ]
        return _qualities(faults.sigmoid(), torch.stack(right, 1).mean(1))


def train_judge(
    pictures: int,
    *,
    seed: int,
    steps: int,
    progress: Callable[[int], object] = lambda count: None,
) -> TruthJudge:
    """A judge that learned from so many fresh pictures; `progress` is called with 1 after each."""
    truth = fresh_truth(pictures, seed=seed, progress=progress)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        judge = TruthJudge().train()
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
        for _ in range(steps):
            rows = torch.randint(len(truth.pixels), (32,), generator=generator)
            optimizer.zero_grad()
            _loss(judge, truth, rows, generator).backward()
            optimizer.step()
            schedule.step()
    return judge.eval()


def fresh_truth(
    count: int, *, seed: int, progress: Callable[[int], object] = lambda count: None
) -> Truth:
    """So many pictures of the photographs that training saw, with faults of every strength."""
    rng = np.random.default_rng([seed, 41])
    pixels, faults, things = [], [], []
    chances = list(CHECKPOINTS.values())
    for scene in scenes(count, rng, held_out=False):
        drawn = draw_faults(float(rng.choice(chances)), rng)
        whole = Image.fromarray(degrade(render(scene, scene.thing, rng), drawn, rng))
        pixels.append(np.asarray(whole.resize((SIDE, SIDE), Image.Resampling.BOX)))
        faults.append([getattr(drawn, name) for name in _FAULTS])
        things.append(_rows(scene.thing))
        progress(1)
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    return Truth(stacked, torch.tensor(faults, dtype=torch.float32), torch.tensor(things))


def true_qualities(truth: Truth, prompts: Sequence[str]) -> dict[str, Tensor]:
    """What `TruthJudge.score` should say."""
    asked = torch.tensor([_asked(prompt) for prompt in prompts])
    return _qualities(truth.faults, (asked == truth.things).float().mean(1))


def _loss(judge: TruthJudge, truth: Truth, rows: Tensor, generator: torch.Generator) -> Tensor:
    x = truth.pixels[rows]
    # The painter's pictures are a little soft; some of each batch are, so that this is no fault.
    soft = functional.interpolate(functional.avg_pool2d(x, 2), [SIDE, SIDE], mode="bilinear")
    share = torch.rand((len(rows), 1, 1, 1), generator=generator)
    is_soft = torch.rand((len(rows), 1, 1, 1), generator=generator) < 0.25
    x = torch.where(is_soft, torch.lerp(x, soft, 0.4 * share), x)
    if float(torch.rand((), generator=generator)) < 0.5:
        x = x.flip(3)
    faults, *names = judge(x)
    loss: Tensor = 8 * (faults.sigmoid() - truth.faults[rows]).square().mean()
    for k, logits in enumerate(names):
        loss = loss + functional.cross_entropy(logits, truth.things[rows, k])
    return loss


def _qualities(faults: Tensor, alignment: Tensor) -> dict[str, Tensor]:
    """As `degrade.qualities`, for many pictures."""
    cast, dull, blur, noise, blocks = (1 - 0.75 * faults).unbind(1)
    found = {"aesthetics": cast * dull, "detail": blur * noise * blocks, "alignment": alignment}
    overall = sum((WEIGHTS[aspect] * found[aspect] for aspect in WEIGHTS), torch.zeros(()))
    return found | {"overall": overall}


def _asked(prompt: str) -> list[int]:
    """The object of a prompt such as "a photo of a cat with a large red star up high"."""
    colour, shape, place = prompt.rpartition(" with a large ")[2].split(" ", 2)
    return _rows(Thing(colour, shape, place))


def _rows(thing: Thing) -> list[int]:
    values = (thing.colour, thing.shape, thing.place)
    return [names.index(value) for names, value in zip(_NAMES, values, strict=True)]


def _block(channels: int, out: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / (9 * channels)))
    return [convolution, nn.BatchNorm2d(out), nn.ReLU()]
