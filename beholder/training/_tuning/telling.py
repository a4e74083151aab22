"""A tuning in words: what was tuned with what, what to doubt, how to use and cite it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from beholder._page.wording import UNKNOWN, number
from beholder.training._tuning.record import HELD_OUT, REWARD, Record
from beholder.training.algorithms import algorithm_class, names
from beholder.training.algorithms._base import TuneConfig

LARGE_GAP = 1.0
"""In base standard deviations. Below it a gap says little: two rewards never agree exactly."""

SHARED = 0.25
"""The least share of a gain that the held-out reward should have too: a convention."""

SIGMA = "\N{NO-BREAK SPACE}\N{GREEK SMALL LETTER SIGMA}"
"""The unit of gains."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_LORA_PAPER = (
    "LoRA: E. J. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, ICLR 2022."
)
_DTYPES = {"fp32": "float32", "fp16": "float16"}
_SHARED_OPTIONS = frozenset(field.name for field in fields(TuneConfig))


def algorithm_name(record: Record) -> str:
    """The algorithm as its paper calls it."""
    name = str(record.option("algorithm"))
    return algorithm_class(name).title if name in names() else name


def pipeline_name(record: Record) -> str:
    """What was tuned: a hub repository, a folder, a function or the class of a loaded pipeline."""
    return str(record.inputs.get("pipeline") or record.option("pipeline", "a pipeline"))


def reward_name(record: Record) -> str:
    """The reward that was learned from, with its aspect if it is one of several."""
    name = str(record.inputs.get("reward") or record.option("reward", "a reward"))
    aspect = record.option("aspect", "total")
    return _last(name) if aspect == "total" else f"{_last(name)} ({aspect})"


def held_out_name(record: Record) -> str:
    """The reward that was only measured; "" without."""
    name = record.inputs.get("held_out_reward") or record.option("held_out_reward", "")
    return _last(str(name))


def is_stand_in(record: Record) -> bool:
    """Whether a loaded pipeline was tuned in place of the one that the configuration names."""
    name = pipeline_name(record)
    return name != str(record.option("pipeline", name))


def title(record: Record) -> str:
    """The headline."""
    return f"{_last(pipeline_name(record))}, tuned by {reward_name(record)}"


def summary(record: Record) -> str:
    """Where the run stands, and what the figures are."""
    how = algorithm_name(record)
    if not record.points(REWARD):
        return f"A run of {how} that has not evaluated anything yet."
    unit = (
        f"Gains are in{SIGMA}, the standard deviation of the reward over the pipeline's own "
        "pictures, on prompts that were not learned from."
    )
    return f"{_standing(record, how)} {unit}"


def _standing(record: Record, how: str) -> str:
    best = record.best_step
    if not record.is_finished:
        steps = record.option("fit.steps", UNKNOWN)
        return (
            f"{how} is at step {record.step} of {steps}; the best so far is step {best}. If it was "
            "interrupted, the command at the end goes on with it."
        )
    kept = f"the weights after step {best} are kept, the best by {_judge(record)}."
    if not record.is_stopped:
        return f"{record.step} steps of {how}; {kept}"
    patience = record.option("fit.patience_evaluations", UNKNOWN)
    return (
        f"{how} stopped early, after {record.step} of {record.option('fit.steps', UNKNOWN)} steps: "
        f"{patience} evaluation{'' if patience == 1 else 's'} in a row brought nothing better; "
        f"{kept}"
    )


def _judge(record: Record) -> str:
    return "the held-out reward" if record.points(HELD_OUT) else "the reward itself"


def doubts(record: Record) -> list[str]:
    """What a reader must know before trusting the gain; the worst first."""
    found = [*_hacking(record), *_without_gain(record)]
    if not record.is_watched:
        found.append(
            "Nothing watches for reward hacking in this run: there is no held-out reward, so the "
            "gain is told by the reward that was learned from alone. Look at the samples."
        )
    failed = dict(record.points("eval/failed"))
    worst = max((share for share in failed.values() if math.isfinite(share)), default=0.0)
    if worst > 0:
        found.append(
            f"The reward gave no score to {100 * worst:.0f} % of the pictures of some evaluation."
        )
    return found


def _hacking(record: Record) -> Iterator[str]:
    """Signs that the reward is fooled: at the best step, and at the last."""
    gains, others, gaps = record.gains(REWARD), record.gains(HELD_OUT), record.gaps()
    gain, other, gap = (record.at_best(points) for points in (gains, others, gaps))
    if gap > LARGE_GAP and other < SHARED * gain:
        yield (
            f"The gap is large: the learned reward gained {number(gain)}{SIGMA} and the held-out "
            f"reward {number(other)}{SIGMA}. Most of the gain may be reward hacking; look at the "
            "samples."
        )
    last = others[-1][1] if others else math.nan
    if last < 0:
        kept = record.best_step
        yield (
            f"After step {others[-1][0]:.0f} the held-out reward lay {number(-last)}{SIGMA} below "
            f"its start, a sign of reward hacking; the weights of step {kept} are "
            f"{'kept' if record.is_finished else 'the best so far'}."
        )


def _without_gain(record: Record) -> Iterator[str]:
    if record.best_step == 0 and record.step > 0 and record.is_finished:
        yield (
            f"No step was better than the start by {_judge(record)}, so the LoRA that is kept "
            "changes nothing."
        )


def protocol(record: Record) -> dict[str, str]:
    """What makes the figures repeatable, name -> value; what is not told is left out."""
    told = {
        "Pipeline": pipeline_name(record),
        "Algorithm": " ".join(filter(None, (algorithm_name(record), _own_options(record)))),
        "Learned from": reward_name(record),
        "Held-out reward": held_out_name(record) or "none",
        "Prompts": _prompts(record),
        "Sampling": _sampling(record),
        "LoRA": _lora(record),
        "Pictures in a step": _batch(record),
        "Learning rate": _told(record, "fit.learning_rate"),
        "Kept near the base": _kept_near(record),
        "Views": _views(record),
        "Precision": _told(record, "dtype"),
        "Seed": _told(record, "fit.seed"),
        "Versions": _versions(record),
    }
    return {name: value for name, value in told.items() if value}


def _own_options(record: Record) -> str:
    """What the algorithm itself was asked."""
    own = {k: v for k, v in record.config.items() if k not in _SHARED_OPTIONS}
    return f"({told})" if (told := _told_all(own)) else ""


def _told_all(options: Mapping[str, Any]) -> str:
    """Numbers and texts of a nested mapping that are not empty, one after the other."""
    texts = []
    for name, value in options.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            texts += [f"{words} {inner}"] if (inner := _told_all(value)) else []
        elif value not in (None, "", 0, [], ()):
            texts.append(f"{words} {_value(value)}")
    return ", ".join(texts)


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " to ".join(map(_value, value)) if len(value) == 2 else ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _views(record: Record) -> str:
    """How pictures are changed at random before the reward; the defaults change nothing."""
    names = ("crop", "flip", "jpeg")
    shares = {name: record.option(f"views.{name}", 0) for name in names}
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items() if share)


def _told(record: Record, name: str) -> str:
    value = record.option(name)
    return "" if value is None else _value(value)


def _prompts(record: Record) -> str:
    counts = {
        "learned from": record.inputs.get("learned"),
        "evaluated": record.inputs.get("validated"),
    }
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if isinstance(n, int))


def _sampling(record: Record) -> str:
    height, width = record.option("sampling.height"), record.option("sampling.width")
    guidance = record.option("sampling.guidance")
    parts = [
        f"{steps} steps" if (steps := record.option("sampling.steps")) else "",
        "" if guidance is None else f"guidance {_value(guidance)}",
        f"{width} {_TIMES} {height}" if height and width else "",
    ]
    return ", ".join(filter(None, parts))


def _lora(record: Record) -> str:
    rank = record.option("lora.rank")
    alpha = record.option("lora.alpha") or rank
    return "" if rank is None else f"rank {rank}, alpha {_value(alpha)}"


def _batch(record: Record) -> str:
    size, times = record.option("prompts_per_batch"), record.option("fit.accumulation", 1)
    return (
        ""
        if size is None
        else f"{size} prompts" + (f" {_TIMES} {times} batches" if times > 1 else "")
    )


def _kept_near(record: Record) -> str:
    weights = {
        "output distance": record.option("kl", 0),
        "denoising loss": record.option("pretraining.weight", 0),
    }
    told = [
        f"{name} {_TIMES} {_value(float(weight))}" for name, weight in weights.items() if weight
    ]
    return ", ".join(told) or "no penalty"


def _versions(record: Record) -> str:
    wanted = ("beholder", "torch", "diffusers", "peft")
    found = ((name, record.versions.get(name)) for name in wanted)
    return ", ".join(f"{name} {version}" for name, version in found if version)


def methods(record: Record) -> list[str]:
    """Citations of what was used."""
    name = str(record.option("algorithm"))
    if name not in names():
        return [_LORA_PAPER]
    used = algorithm_class(name)
    return [f"{used.title}: {used.paper}", _LORA_PAPER]


def use_lines(record: Record, place: str) -> list[str]:
    """Python that makes a picture with the LoRA at `place`, a folder or a hub repository."""
    return [
        *_loading(record),
        f"pipe.load_lora_weights({_quoted(place)})",
        f"image = pipe({', '.join(_call(record))}).images[0]",
    ]


def _loading(record: Record) -> list[str]:
    name = str(record.option("pipeline", ""))
    if is_stand_in(record):
        return [f"pipe = ...  # the {pipeline_name(record)} that was tuned"]
    if ":" in name and not Path(name).exists():
        module, _, function = name.rpartition(":")
        return [f"from {module} import {function}", "", f"pipe = {function}()"]
    options = record.option("pipeline_options", {})
    arguments = [
        _quoted(name),
        *(f"{k}={_quoted(str(options[k]))}" for k in ("revision", "variant") if k in options),
        f"torch_dtype=torch.{_DTYPES.get(record.option('dtype'), 'bfloat16')}",
    ]
    return [
        "import torch",
        "from diffusers import DiffusionPipeline",
        "",
        f"pipe = DiffusionPipeline.from_pretrained({', '.join(arguments)})",
        'pipe.to("cuda")',
    ]


def _call(record: Record) -> Iterator[str]:
    yield '"your prompt"'
    if steps := record.option("sampling.steps"):
        yield f"num_inference_steps={steps}"


def _quoted(text: str) -> str:
    """The text as Python source."""
    return json.dumps(text, ensure_ascii=False)


def _last(name: str) -> str:
    """The end of a path or repository."""
    return name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
