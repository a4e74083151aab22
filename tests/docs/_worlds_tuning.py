"""A world in which what takes minutes takes seconds: training, tuning and drawing stop early."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from beholder.annotation.sources.scenes import Scenes
from beholder.quickstart import painter
from beholder.quickstart.painter import Painting
from beholder.training import reward, richhf, tune
from tests.docs.worlds import Place

_STEPS = 2
_SCENES = 44
_PICTURES = 8


def brief(place: Place) -> None:
    """Rewards and pipelines learn for two steps, and 44 scenes are drawn where hundreds are asked.

    Everything else is as a page says: files, options, and what goes from one command to the next.
    """
    for module, name in ((reward, "train_reward"), (richhf, "train_richhf"), (tune, "tune")):
        place.patch.setattr(module, name, _shortened(getattr(module, name)))
    place.patch.syspath_prepend(place.folder)  # as PYTHONPATH=. does for a new process
    paint = painter.train_painter
    length = Painting(autoencoder_steps=1, steps=1)

    def painted(manifest: Path, out: Path, painting: Painting, **given: Any) -> Path:
        return paint(manifest, out, replace(painting, **_sizes(length)), **given)

    place.patch.setattr(painter, "train_painter", painted)
    checked = Scenes.__post_init__

    def few(scenes: Scenes) -> None:
        checked(scenes)
        object.__setattr__(scenes, "count", min(scenes.count, _SCENES))

    place.patch.setattr(Scenes, "__post_init__", few)


def _sizes(painting: Painting) -> dict[str, int]:
    return {"autoencoder_steps": painting.autoencoder_steps, "steps": painting.steps}


def _shortened(run: Any) -> Any:
    """The same of a configuration that asks for few steps, pictures and evaluations."""

    def shortened(config: Any, *given: Any, **named: Any) -> Any:
        fit = replace(config.fit, steps=_STEPS, evaluate_every_steps=1, checkpoint_every_steps=1)
        return run(replace(config, fit=fit, **_fewer(config)), *given, **named)

    return shortened


def _fewer(config: Any) -> dict[str, Any]:
    if not hasattr(config, "pretraining"):
        return {}
    return {
        "validation_count": min(config.validation_count, 2),
        "pretraining": replace(config.pretraining, samples=_PICTURES, batch=2),
    }
