"""A page a reward, from its card."""

from __future__ import annotations

from beholder.rewards import RewardCard, names, reward_class
from beholder.rewards._card import range_text
from handbook.pieces import code, facts, fenced, items, page, shown, table

_TRAINED = {"head", "richhf"}
"""They are trained first: no published weights can be loaded by name."""

_AROUND = {
    "ensemble": 'beholder.load("ensemble", members={"mps": "mps", "clip": "clipscore"})',
    "smoothed": 'beholder.load("smoothed", reward="mps")',
}
"""Rewards made of others, with what they are given."""


def pages() -> dict[str, str]:
    """One a reward, below rewards/."""
    return {f"rewards/{name}.md": reward_page(reward_class(name).card) for name in names()}


def reward_page(card: RewardCard) -> str:
    """What a user must know of a reward before trusting a number of it."""
    return page(
        card.name,
        f"Measures {shown(card.measures)}. {shown(card.paper).removesuffix('.')}.",
        _facts(card),
        "## Call",
        fenced(example(card), "python"),
        _on_the_command_line(card),
        _accuracy(card),
        _parity(card),
        _precision(card),
        f"## What moves the number\n\n{items(map(shown, card.notes))}" if card.notes else "",
        f"All options: [`beholder.rewards.{card.name}`](../reference/modules/"
        f"beholder.rewards.{card.name}.md). The same card in a terminal: "
        f"`beholder rewards {card.name}`.",
    )


def example(card: RewardCard) -> str:
    """How the reward is loaded and asked, in Python."""
    prompt = ', "a red fox"' if card.needs_prompt else ""
    lines = [
        "import beholder",
        "",
        f"reward = {_AROUND.get(card.name, _loaded(card))}",
        f'scores = reward.score(["a.png", "b.jpg"]{prompt})',
        "print(scores.total, scores.errors)",
    ]
    if card.aspects:
        lines.append(f"print(scores.aspects[{card.aspects[0]!r}])".replace("'", '"'))
    return "\n".join(lines)


def _loaded(card: RewardCard) -> str:
    if card.name in _TRAINED:
        return 'beholder.load("runs/mine")  # the folder that `beholder train` wrote'
    return f'beholder.load("{card.name}")'


def _on_the_command_line(card: RewardCard) -> str:
    if card.name in _AROUND:
        return ""
    named = "mine=runs/mine" if card.name in _TRAINED else card.name
    prompts = " --prompts prompts.txt" if card.needs_prompt else ""
    return fenced(f"beholder score out/{prompts} --reward {named} -o scores/", "bash")


def _facts(card: RewardCard) -> str:
    weights = shown(card.weights) or "none"
    return facts(
        {
            "range": range_text(card),
            "aspects": ", ".join(map(code, card.aspects)),
            "prompt": "changes the score" if card.needs_prompt else "does not matter",
            "gradient": "reaches the pixels" if card.differentiable else "none",
            "weights": weights,
            "licence": f"code {shown(card.code_license)}, weights {shown(card.weights_license)} "
            "([what that allows](../licences.md))",
        }
    )


def _accuracy(card: RewardCard) -> str:
    if not card.accuracy:
        return "## Published accuracy\n\nNone is published."
    rows = [
        [shown(a.data), f"{a.percent:g} %", shown(a.protocol), shown(a.source)]
        for a in card.accuracy
    ]
    return (
        "## Published accuracy\n\nThe share of people's pairs that it gets right, as the source "
        "says. Figures of two protocols do not compare.\n\n"
        + table(["data", "accuracy", "protocol", "source"], rows)
    )


def _parity(card: RewardCard) -> str:
    if not card.parity:
        return "## Parity\n\nNot measured against another implementation."
    rows = [
        [shown(p.against), f"{p.error:.1g}", f"{p.spread:.2g}", shown(p.how)] for p in card.parity
    ]
    return (
        "## Parity\n\nThe largest difference between our score and another implementation's on the "
        "same weights and pictures, beside the standard deviation of the scores.\n\n"
        + table(["against", "difference", "deviation", "how"], rows)
    )


def _precision(card: RewardCard) -> str:
    known = {
        "float pixels for 8-bit ones": card.float_error,
        "bfloat16 weights for float32": card.bf16_error,
        "float16 weights for float32": card.fp16_error,
    }
    rows = [[name, f"{error:g}"] for name, error in known.items() if error is not None]
    if not rows:
        return ""
    return (
        "## Precision\n\nHow far the score moves at most, as a share of the scores' standard "
        "deviation; measured on a small random model, and held by a test.\n\n"
        + table(["what changes", "moves by"], rows)
    )
