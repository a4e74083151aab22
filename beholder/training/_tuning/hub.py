"""A LoRA for others: its model card, and the upload to the hub."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from beholder._page.curves import short
from beholder._page.document import write_whole
from beholder._page.places import without_places as without_places
from beholder._page.wording import in_markdown, shorten, visible
from beholder.errors import BeholderError, ConfigError
from beholder.training._tuning.page import signed
from beholder.training._tuning.record import DENOISING, HELD_OUT, LORA, REWARD, Record, read_record
from beholder.training._tuning.samples import read_sample_prompts, sample_path
from beholder.training._tuning.telling import (
    SIGMA,
    doubts,
    is_stand_in,
    methods,
    protocol,
    summary,
    title,
    use_lines,
)

CARD = "README.md"
MOST_PICTURES = 6
"""Samples on the card, of the weights that are kept."""

MOST_LETTERS = 300
"""Of their prompts."""

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_LIMITS = (
    "The gains are gains of learned rewards, which stand in for people and are not people. Look at "
    "pictures yourself, or ask annotators, before you call it better.",
    "One picture of each evaluated prompt was scored, always with the same seed; differences of a "
    f"few hundredths of{SIGMA} mean nothing.",
    "It was tuned for the sampling above; other step counts, sizes and guidance were not measured.",
    "It keeps the faults and biases of the base model, and may have taken on those of the reward.",
)
_LICENCE = (
    "This card states no licence. A LoRA is of use only with its base model, whose licence binds "
    "it; add `license:` to the head of this file once you know what you may grant."
)


def write_card(folder: Path, base_model: str) -> Path:
    """The path of `README.md` in a run's folder; see `model_card`."""
    return write_whole(folder / CARD, model_card(folder, base_model))


def model_card(folder: Path, base_model: str, repo: str = "") -> str:
    """A run's model card as the hub and diffusers read it: YAML, then Markdown.

    Places on this machine are not told.

    Args:
        folder: of the run.
        base_model: the repository of the pipeline, "user/name"; anything else is not named to the
            hub.
        repo: where the LoRA will lie; "" stands for wherever the file is.

    Raises:
        ConfigError: if the folder is not one of a tuning.
    """
    found = read_record(folder)
    told = {name: without_places(getattr(found, name)) for name in ("config", "inputs")}
    record = replace(found, **told)
    head = yaml.safe_dump(_head(record, base_model), sort_keys=False, allow_unicode=True)
    body = "\n\n".join(filter(None, _body(record, repo or "path/to/this/folder")))
    return f"---\n{head}---\n\n{body}\n"


def push_lora(folder: Path, repo: str, *, private: bool = True) -> str:
    """Upload a run's LoRA, card, samples and configuration; gives the repository's address.

    Args:
        folder: of the run.
        repo: "user/name", made if there is none.
        private: whether a new repository is; an old one stays as it is.

    Raises:
        ConfigError: if the run has no LoRA yet.
        BeholderError: if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415  (costs a second)

    if not (folder / LORA).is_file():
        raise ConfigError(f"{folder} holds no {LORA}: the run has not ended")
    with tempfile.TemporaryDirectory() as parcel, _hub_errors(folder, repo):
        address = HfApi().create_repo(repo, private=private, exist_ok=True)
        _pack(folder, Path(parcel), address.repo_id)
        HfApi().upload_folder(repo_id=address.repo_id, folder_path=parcel)
    return str(address)


def _head(record: Record, base_model: str) -> dict[str, Any]:
    """What the hub reads: the licence is left to whoever publishes."""
    algorithm = str(record.option("algorithm"))
    is_other = is_stand_in(record) and base_model == record.option("pipeline")
    is_published = bool(_REPOSITORY.fullmatch(base_model)) and not Path(base_model).exists()
    return {
        **(
            {"base_model": base_model, "base_model_relation": "adapter"}
            if is_published and not is_other
            else {}
        ),
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "lora", "diffusers", "beholder", algorithm],
        **({"widget": widget} if (widget := list(_widget(record))) else {}),
    }


def _widget(record: Record) -> Iterator[dict[str, Any]]:
    """Samples of the weights that are kept, with their prompts."""
    prompts = read_sample_prompts(record.folder)
    for path in _pictures(record):
        prompt = shorten(str(visible(prompts[int(path.stem)])), MOST_LETTERS)
        yield {"text": prompt, "output": {"url": path.relative_to(record.folder).as_posix()}}


def _pictures(record: Record) -> list[Path]:
    rows = range(len(read_sample_prompts(record.folder)))
    step = 0 if record.best_step is None else record.best_step
    paths = (sample_path(record.folder, step, row) for row in rows)
    return [path for path in paths if path.is_file()][:MOST_PICTURES]


def _body(record: Record, place: str) -> Iterator[str]:
    yield f"# {in_markdown(title(record))}"
    yield "<Gallery />" if _pictures(record) else ""
    yield in_markdown(summary(record))
    yield "\n>\n".join(f"> **Please note.** {in_markdown(doubt)}" for doubt in doubts(record))
    yield _figures(record)
    lines = "\n".join(use_lines(record, place))
    yield f"## Use\n\n```python\n{lines}\n```"
    yield (
        "No trigger word is needed. `pipe.set_adapters(pipe.get_active_adapters(), 0.7)` weakens "
        "the LoRA, `pipe.unload_lora_weights()` takes it off."
    )
    told = protocol(record).items()
    rows = [f"| {in_markdown(name)} | {in_markdown(value)} |" for name, value in told]
    yield "\n".join(["## How it was tuned\n", "| | |", "| --- | --- |", *rows])
    yield "## Limits\n\n" + "\n".join(f"- {limit}" for limit in (*_LIMITS, _LICENCE))
    yield "## Methods\n\n" + "\n".join(f"- {in_markdown(method)}" for method in methods(record))


def _figures(record: Record) -> str:
    """The changes as a table; "" before the first evaluation."""
    names = {REWARD: "reward that was learned from", HELD_OUT: "held-out reward"}
    names[DENOISING] = "denoising loss on its own pictures"
    rows = []
    for key, name in names.items():
        if record.points(key):
            change = record.change(key)
            gain = f"{signed(change.gain)}{SIGMA}"
            if key == DENOISING:
                gain = f"{signed(100 * change.share, 1)} %"
            rows.append(f"| {name} | {short(change.before)} | {short(change.after)} | {gain} |")
    if not rows:
        return ""
    head = ["| | before | with the LoRA | change |", "| --- | ---: | ---: | ---: |"]
    return "\n".join(["## Figures\n", *head, *rows])


def _pack(folder: Path, parcel: Path, repo: str) -> None:
    """What is uploaded."""
    record = read_record(folder)
    base_model = str(record.option("pipeline", ""))
    write_whole(parcel / CARD, model_card(folder, base_model, repo))
    shutil.copyfile(folder / LORA, parcel / LORA)
    config = yaml.safe_dump(without_places(record.config), sort_keys=False, allow_unicode=True)
    write_whole(parcel / "config.yaml", config)
    for path in _pictures(record):
        write_whole(parcel / path.relative_to(folder), path.read_bytes())


@contextmanager
def _hub_errors(folder: Path, repo: str) -> Iterator[None]:
    from httpx import HTTPError  # noqa: PLC0415  (what huggingface_hub speaks with)
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        yield
    except (OSError, ValueError, HTTPError, HfHubHTTPError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BeholderError(
            f"cannot push to {repo}: {reason}; log in with `hf auth login`, see the connection and "
            f"HF_HUB_OFFLINE; the LoRA is in {folder}"
        ) from error
