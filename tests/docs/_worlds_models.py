"""Worlds with what is trained or fetched: rewards, adapters, networks, other trainers."""

import functools
import io
import shutil
import sys
import tarfile
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from beholder.eval.extractors import inception as inception_extractor
from beholder.eval.extractors._inception import Inception
from beholder.eval.extractors._resize import check_protocol
from tests.docs import _worlds_tuning as worlds_tuning
from tests.docs.worlds import PROMPTS, Place, picture


def trained(place: Place) -> None:
    """A small reward in runs/mine with scores for aesthetics, detail, alignment and overall."""
    from beholder.types import ASPECTS
    from tests.rewards.tinies import head

    def make(there: Place) -> None:
        head.tiny(aspects=ASPECTS).save_pretrained(there.folder / "runs" / "mine")

    place.once("trained", make)


def tuned(place: Place) -> None:
    """Two small adapters in runs/a and runs/b."""

    def make(there: Place) -> None:
        worlds_tuning.brief(there)
        (there.folder / "prompts.txt").write_text("".join(f"{p}\n" for p in PROMPTS))
        for name in ("a", "b"):
            given = ("prompts=prompts.txt", f"run=runs/{name}", "validation_count=2")
            there.verb("tune", "tiny_cpu", *given, f"fit.seed={ord(name)}")
        (there.folder / "prompts.txt").unlink()

    place.once("tuned", make)


def shards(place: Place) -> None:
    """Four tar archives of six pictures with their prompts, as webdataset has them, in shards/."""
    folder = place.folder / "shards"
    folder.mkdir()
    for at in range(4):
        with tarfile.open(folder / f"{at:06}.tar", "w") as tar:
            for number in range(6 * at, 6 * at + 6):
                buffer = io.BytesIO()
                picture(number).save(buffer, "png")
                _add(tar, f"{number:06}.png", buffer.getvalue())
                _add(tar, f"{number:06}.txt", PROMPTS[number % len(PROMPTS)].encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def prompts_csv(place: Place) -> None:
    """prompts.csv with a column of prompts and one of categories."""
    rows = [f"{prompt},{'animals' if at % 2 else 'things'}\n" for at, prompt in enumerate(PROMPTS)]
    (place.folder / "prompts.csv").write_text("".join(["prompt,category\n", *rows]))


def inception(place: Place) -> None:
    """The network of 2015 is a random projection of 8 x 8 colours, of its sizes and protocol.

    In Python: features `a` and `b` (40, 8), and batches of pixels `real_loader`, `fake_loader`.
    """
    module = inception_extractor

    @functools.wraps(module.build)
    def build(weights: object = None, resize: str = "tf1") -> object:
        check_protocol(resize, module.RESIZES)
        return module.InceptionExtractor(_Projection(), resize, "random")

    place.patch.setattr(module, "build", build)
    draw = torch.Generator().manual_seed(0)
    place.names.update({name: torch.randn(40, 8, generator=draw) for name in ("a", "b")})
    batches = torch.randint(256, (2, 2, 8, 3, 32, 32), dtype=torch.uint8, generator=draw)
    place.names.update(real_loader=batches[0], fake_loader=batches[1])


class _Projection(Inception):
    def __init__(self) -> None:
        nn.Module.__init__(self)

    @override
    def forward(self, scaled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        colours = functional.adaptive_avg_pool2d(scaled, 8).flatten(1)
        return {layer: colours @ self._matrix(layer).to(colours) for layer in layers}

    def _matrix(self, layer: str) -> Tensor:
        draw = torch.Generator().manual_seed(0)
        return torch.randn(3 * 64, inception_extractor.LAYERS[layer], generator=draw) / 8


def trainers(place: Place) -> None:
    """Packages of other trainers that take a reward by being changed."""
    for package, given in (("ddpo_pytorch", {}), ("flow_grpo", {"pickscore_score": print})):
        outer, inner = ModuleType(package), ModuleType(f"{package}.rewards")
        vars(inner).update(given)
        vars(outer)["rewards"] = inner
        place.patch.setitem(sys.modules, package, outer)
        place.patch.setitem(sys.modules, inner.__name__, inner)


def rich_judging(place: Place) -> None:
    """The project judging/, of points, words and ratings, answered and pulled."""
    from tests.docs._worlds_annotation import asked

    def make(there: Place) -> None:
        asked(there, "out/early", "--template", "richhf")
        shutil.rmtree(there.folder / "out")  # the project has copies

    place.once("rich_judging", make)


def held_out(place: Place) -> None:
    """The data set held-out/, of judgements."""
    from tests.docs._worlds_annotation import judgements

    def make(there: Place) -> None:
        judgements(there)
        (there.folder / "judgements").rename(there.folder / "held-out")

    place.once("held_out", make)
