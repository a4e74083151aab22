"""What lies in the folder of a page before its first block, by the names that pages give.

A world is a function of a `Place`; its name is what a page writes in ``<!-- world: NAME … -->``.
What is costly is made once in `Place.kept` and put into the folder of each page.
"""

import importlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from beholder.configs import _load as configuration
from beholder.quickstart import run as quickstart_run
from beholder.quickstart.material import Sizes
from beholder.rewards import clipscore, mps
from beholder.training.fit.learner import FitConfig
from tests.docs.blocks import ROOT
from tests.docs.stand_ins import CHANGES, VARIABLE
from tests.docs.verbs import run_verb
from tests.rewards import tiny_towers

SITE = Path(__file__).parent / "site"
SIZES = Sizes(train_prompts=13, test_prompts=12, borrowed=1)
FIT = FitConfig(steps=4, warmup_steps=1, checkpoint_every_steps=2, precision="fp32")
PROMPTS = ("a red fox", "a cat on a blue chair", "three green cubes", "a dog beside a light")
_LINKED = 2**20  # bytes; larger files are links, as nothing writes into weights


@dataclass(frozen=True)
class Place:
    """Where a page runs.

    Attributes:
        folder: of the page, where its commands stand.
        kept: of all pages, for what is made once.
        patch: what is changed in this process until the page ends.
        names: what its Python blocks know before the first.
    """

    folder: Path
    kept: Path
    patch: pytest.MonkeyPatch
    names: dict[str, object] = field(default_factory=dict)

    def stand_in(self, name: str) -> None:
        """Small models take the place of published ones, here and in processes started here."""
        for change in CHANGES[name]:
            holder, attribute = change.holder(importlib.import_module(change.module))
            replacement = change.replacement(getattr(holder, attribute))
            self.patch.setattr(holder, attribute, replacement)
        named = os.environ.get(VARIABLE, "").split()
        self.patch.setenv(VARIABLE, " ".join([*named, name]))

    def once(self, name: str, make: Callable[["Place"], object]) -> None:
        """Put into the folder what `make` leaves in a place of its own, which it does once."""
        kept, done = self.kept / name, self.kept / f"{name}.done"
        if not done.exists():  # it is made where it stays, as tables name pictures by whole paths
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir()
            with pytest.MonkeyPatch.context() as there:
                there.chdir(kept)
                make(Place(kept, self.kept, there))
            done.touch()
        shutil.copytree(kept, self.folder, copy_function=_linked, dirs_exist_ok=True, symlinks=True)

    def verb(self, *words: str) -> None:
        """Run `beholder WORDS`, which have to succeed."""
        said = run_verb(words)
        assert said.code == 0, f"beholder {' '.join(words)}\n{said.out}{said.err}"


World = Callable[[Place], None]


def _linked(source: str, target: str) -> object:
    if Path(source).stat().st_size < _LINKED:
        return shutil.copy2(source, target)
    Path(target).hardlink_to(source)
    return target


def published(place: Place) -> None:
    """Published rewards are small random models of their classes."""
    place.stand_in("published")


def pipeline(place: Place) -> None:
    """Pipelines of the hub, and MODEL and TURBO, are one small random Stable Diffusion 1.5.

    It is tuned at its own size, whatever a preset says.
    """
    from tests.training.tiny_pipelines import tiny

    def make(there: Place) -> None:
        for name in ("MODEL", "TURBO"):
            tiny("sd").save_pretrained(there.folder / name)

    place.stand_in("pipeline")
    place.once("pipeline", make)
    load: Callable[..., Any] = configuration.load_config

    def load_small(*given: Any, **options: Any) -> Any:
        config = load(*given, **options)
        if not hasattr(config, "sampling"):
            return config
        own_size = replace(config.sampling, height=None, width=None)
        return replace(config, sampling=own_size)

    place.patch.setattr(configuration, "load_config", load_small)


def pixels(place: Place) -> None:
    """In Python: `pixels` (2, 3, 64, 64) that need a gradient, and two `prompts`."""
    place.names["pixels"] = torch.rand(2, 3, 64, 64, requires_grad=True)
    place.names["prompts"] = list(PROMPTS[:2])


def pictures(place: Place) -> None:
    """Twelve small PNGs in out/, a prompt each in prompts.txt, and a.png, b.jpg, fox.png."""
    out = place.folder / "out"
    out.mkdir()
    for at in range(12):
        picture(at).save(out / f"{at:02}.png")
    text = "".join(f"{PROMPTS[at % len(PROMPTS)]}\n" for at in range(12))
    (place.folder / "prompts.txt").write_text(text, encoding="utf-8")
    for at, name in enumerate(("a.png", "b.jpg", "fox.png"), 20):
        picture(at).save(place.folder / name)


def sides(place: Place) -> None:
    """Two sides to measure: sixteen small PNGs each in real/ and generated/."""
    for at, name in enumerate(("real", "generated")):
        (place.folder / name).mkdir()
        for number in range(16):
            picture(1000 * (at + 1) + number).save(place.folder / name / f"{number:02}.png")


def picture(seed: int, side: int = 64) -> Image.Image:
    """A soft blot of a colour on a ground of another, the same for a seed."""
    draw = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    distance = (x - draw.random()) ** 2 + (y - draw.random()) ** 2
    blot = np.exp(-distance / (0.02 + 0.1 * draw.random()))[..., None]
    ground, colour = draw.random(3), draw.random(3)
    values = ground + (colour - ground) * blot
    return Image.fromarray((255 * values).round().astype(np.uint8))


def richhf(place: Place) -> None:
    """A small random rich-feedback reward in runs/rich."""
    from tests.rewards.tinies import richhf as small

    place.once("richhf", lambda there: small.tiny().save_pretrained(Path("runs/rich")))


def quickstart(place: Place) -> None:
    """What `beholder quickstart quickstart` leaves, small, with small random towers.

    The verb itself finds it there, or puts the same into another folder.
    """
    run = quickstart_run.run_quickstart

    def make(there: Place) -> None:
        there.patch.setattr(quickstart_run, "save_start", _small_start)
        there.patch.setattr(quickstart_run, "save_baseline", _small_baseline)
        run(Path("quickstart"), sizes=SIZES, fit=FIT)

    def found(folder: Path, **options: object) -> object:
        if not folder.exists():
            shutil.copytree(place.folder / "quickstart", folder, copy_function=_linked)
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))

    place.once("quickstart", make)
    place.patch.setattr(quickstart_run, "run_quickstart", found)


def _small_start(folder: Path, pictures: list[str], prompts: list[str], *, seed: int) -> None:
    towers = tiny_towers.timm_text(preprocess={"size": 96})
    mps.build(towers=towers, config=tiny_towers.HEAD, mask="soft").eval().save_pretrained(folder)


def _small_baseline(folder: Path) -> None:
    towers = tiny_towers.timm_text(preprocess={"size": 96})
    clipscore.build(towers=towers).eval().save_pretrained(folder)


def known() -> dict[str, World]:
    """Name -> world, of this file and of those beside it that are called `_worlds_….py`."""
    found: dict[str, World] = {}
    for path in [Path(__file__), *sorted(Path(__file__).parent.glob("_worlds_*.py"))]:
        module = importlib.import_module(f"tests.docs.{path.stem}")
        merge(found, {n: f for n, f in vars(module).items() if _is_world(f, module.__name__)})
    return found


def merge(found: dict[str, World], further: Mapping[str, World]) -> None:
    """Add further worlds to those found; ValueError where a name means two worlds."""
    if twice := sorted(found.keys() & further):
        raise ValueError(f"more than one world is called {', '.join(twice)}; rename one")
    found |= further


def _is_world(found: object, module: str) -> bool:
    is_own = inspect.isfunction(found) and found.__module__ == module
    is_public = is_own and not found.__name__.startswith("_")  # type: ignore[attr-defined]
    return is_public and list(inspect.signature(found).parameters) == ["place"]  # type: ignore[arg-type]


def paths() -> str:
    """The PYTHONPATH of processes that a page starts."""
    return os.pathsep.join([str(SITE), str(ROOT)])
