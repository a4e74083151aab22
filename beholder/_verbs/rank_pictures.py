"""Pictures of several checkpoints, drawn and scored before they are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beholder import _terminal as terminal
from beholder.errors import ConfigError

if TYPE_CHECKING:
    from beholder.training.rendering import Checkpoint, RenderConfig

PICTURES, SCORES = "pictures", "scores"
"""Folders below that of the ranking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is drawn, by whom, and what scores it.

    Attributes:
        pipelines: checkpoints, separated by commas; "" draws nothing.
        prompts: a file or the name of a set.
        limit: how many of the prompts are drawn, categories in turn; None is all of them.
        seeds: pictures of each prompt, seeds from 0.
        reward, setting: as of the verb score.
        steps, guidance, height, width: of every pipeline.
        batch_size: pictures at a time.
        device: where models run; None is a GPU if there is one.
        dtype: of the pipelines' weights.
        retry_failed: draw and score once more what could not be before.
    """

    pipelines: str = ""
    prompts: str = ""
    limit: int | None = None
    seeds: int = 4
    reward: Sequence[str] = ()
    setting: Sequence[str] = ()
    steps: int = 28
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    batch_size: int = 4
    device: str | None = None
    dtype: str = "auto"
    retry_failed: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Drawing:
        """What the options of a verb say, by their names."""
        return cls(**{field.name: options[field.name] for field in fields(cls)})

    def refuse(self) -> None:
        """Raise ConfigError for an option that nothing would read, as nothing is drawn."""
        for option in fields(self):
            value = getattr(self, option.name)
            if value != option.default and value not in ([], ()):
                name = "set" if option.name == "setting" else option.name.replace("_", "-")
                raise ConfigError(
                    f"--{name} is for pictures that are drawn; leave it out, or "
                    "give --pipelines instead of a folder of scores"
                )

    def scored(self, out: Path) -> Path:
        """The folder of scores of pictures that are drawn now, or were drawn before.

        Pictures that cannot be drawn or scored are rows without a score. Raises ConfigError for a
        single checkpoint, without prompts or a reward, or if the folder holds scores of pictures
        that were not asked for.
        """
        from beholder.rewards.scoring import read_inputs, score_table  # noqa: PLC0415

        checkpoints = self._checkpoints()
        if not (self.prompts and self.reward):
            raise ConfigError(
                "--pipelines needs --prompts, a file or a set such as starter, and --reward"
            )
        models = terminal.named_rewards(self.reward, self.setting, self.device)
        inputs = read_inputs(self._drawn(checkpoints, out / PICTURES))
        with terminal.progress(len(inputs), "scores") as advance:
            summary = score_table(
                inputs,
                models,
                out / SCORES,
                retry_failed=self.retry_failed,
                progress=advance,
            )
        if summary.failed:
            terminal.note(f"{summary.failed} pictures have no score; the ranking counts them")
        _refuse_others(out / SCORES, len(inputs))
        return out / SCORES

    def _checkpoints(self) -> list[Checkpoint]:
        """Who draws; ConfigError if it is one alone."""
        from beholder.training._rendering.checkpoints import named_checkpoints  # noqa: PLC0415

        specs = [spec.strip() for spec in self.pipelines.split(",") if spec.strip()]
        checkpoints = named_checkpoints(specs)
        if len(checkpoints) < 2:
            raise ConfigError(
                f"--pipelines names {specs[0]} alone; a ranking takes two checkpoints or more, "
                "such as base=MODEL,tuned=runs/tuned"
            )
        _note_equal(checkpoints)
        return checkpoints

    def _drawn(self, checkpoints: Sequence[Checkpoint], folder: Path) -> Path:
        """The manifest of the pictures."""
        from beholder.prompt_sets import load_prompts  # noqa: PLC0415
        from beholder.training.rendering import render  # noqa: PLC0415

        prompts = load_prompts(self.prompts)
        if self.limit is not None:
            prompts = prompts.limited(self.limit)
        terminal.note(self._plan(len(checkpoints), len(prompts)))
        total = len(checkpoints) * len(prompts) * self.seeds
        with terminal.progress(total, "pictures") as advance:
            drawn = render(checkpoints, prompts, range(self.seeds), folder, self._config(), advance)
        if drawn.failed:
            terminal.note(f"{len(drawn.failed)} pictures could not be drawn; see --retry-failed")
        return drawn.manifest

    def _plan(self, checkpoints: int, prompts: int) -> str:
        """How much is to be drawn, before it is."""
        size = f"{self.width or 'own width'} x {self.height or 'own height'}"
        return (
            f"{checkpoints * prompts * self.seeds} pictures, less those drawn before: "
            f"{checkpoints} checkpoints x {prompts} prompts x {self.seeds} seeds, "
            f"{self.steps} steps each, {size}"
        )

    def _config(self) -> RenderConfig:
        from beholder.training.pipeline import Sampling  # noqa: PLC0415
        from beholder.training.rendering import RenderConfig  # noqa: PLC0415

        sampling = Sampling(
            steps=self.steps, guidance=self.guidance, height=self.height, width=self.width
        )
        return RenderConfig(
            sampling=sampling,
            batch_size=self.batch_size,
            device=self.device,
            dtype=self.dtype,
            retry_failed=self.retry_failed,
        )


def _note_equal(checkpoints: Sequence[Checkpoint]) -> None:
    """Say which checkpoints are the same files: they draw the same pictures."""
    known: list[tuple[str, dict[str, object]]] = []
    for one in checkpoints:
        identity = one.identity()
        same = next((name for name, other in known if other == identity), None)
        if same is not None:
            terminal.note(f"{same} and {one.name} are the same checkpoint under two names")
        known.append((one.name, identity))


def _refuse_others(scores: Path, asked: int) -> None:
    """Raise ConfigError if a table has more rows than were asked for: they would be ranked too."""
    from beholder.tables import ScoreTable  # noqa: PLC0415

    if (found := len(ScoreTable(scores))) > asked:
        raise ConfigError(
            f"{scores} holds scores of {found} pictures, but {asked} were asked for; ask for the "
            "checkpoints, prompts and seeds of before as well, or give another folder"
        )
