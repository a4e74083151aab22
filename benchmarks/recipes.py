"""Recipes of rewards side by side at tiny size: what each dimension gains, and from what.

    python -m benchmarks.recipes --folder runs/recipes --out benchmarks/results/recipes.txt

Every recipe trains a new head on the same frozen, pretrained towers (`_recipe_starts`) from the
same pairs, and is judged on pairs of held-out prompts by the protocol of ImageReward, each
dimension apart. Pairs are those of the quickstart, held out with their photographs, and of composed
scenes, held out with the things in them; simulated annotators judged both. The scenes are left out
where their cut-outs are missing. A perfect judge, who knows the true qualities, shows what the
annotators' noise leaves. All of it takes about 20 minutes of one core.

The ablations of MPS: "no condition" lets every word pass under every condition, so that all four
dimensions score alike; "exchanged" gives each dimension the words of another; "overall alone"
learns and scores that one. The head with four outputs has dimensions, but no conditions.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

import numpy as np
import torch

import beholder
from beholder._terminal import table
from beholder.errors import MissingDependencyError
from beholder.eval._bootstrap import Floats, percentile_interval, resampled_sums
from beholder.eval.preference import PictureScorer, score_pairs
from beholder.eval.protocols import earned_by_prompt, ratio
from beholder.quickstart.diary import one_thread
from beholder.quickstart.material import Sizes
from beholder.quickstart.towers import save_baseline
from beholder.rewards import Reward
from beholder.rewards._base import distinct
from beholder.rewards._towers import Features
from beholder.rewards._towers.timm_text import TimmTextTowers
from beholder.rewards.mps import MPS
from beholder.training.fit.learner import FitConfig
from beholder.training.objectives import LossConfig
from beholder.training.reward import RewardTraining, train_reward
from beholder.training.towers.freezing import FeatureReward
from beholder.training.towers.pictures import read_all
from beholder.types import ASPECTS, Preference, Scores
from benchmarks import _recipe_starts as starts
from benchmarks._options import heading, parser, tell
from benchmarks._recipe_data import Judged, PerfectJudge, quickstart, scenes
from benchmarks._recipe_rows import DRAWS, UNTRAINED, rows, share
from benchmarks._record import Missing, Row
from benchmarks._scene_pairs import Sizes as SceneSizes

Size = Literal["small", "default"]
Earned = Mapping[str, Floats]
"""Aspect -> what each prompt's pairs earn, and how many count (g, 2)."""

_UNTAUGHT = Missing(
    area="training",
    what="how many held-out pairs each recipe gets right",
    reason="--size small shows that every recipe runs, and teaches none of them",
)
_SAMPLE = 96  # pictures and prompts that bring the towers to one scale
_PROMPTS = 40  # whose words are counted
_RATE, _DECAY = 3e-3, 0.5  # learning rate and weight decay, as in the quickstart
_WEIGHTS = {"alignment": 2.0}  # what is hardest to learn counts twice, as in the quickstart


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one reward is made.

    Attributes:
        start: the reward that training starts from, on given towers.
        loss: what is learned.
        weights: of the aspects.
        frozen: parts of the start that stay as they are.
    """

    start: Callable[[TimmTextTowers], Reward]
    loss: LossConfig = field(default_factory=LossConfig)
    weights: Mapping[str, float] = field(default_factory=lambda: _WEIGHTS)
    frozen: tuple[str, ...] = ()


PLAIN = "MPS, no condition"
"""The ablation that all others are compared with."""

RECIPES: Mapping[str, Recipe] = {
    "MPS, hard mask": Recipe(start=partial(starts.mps, mask="hard")),
    "MPS, soft mask": Recipe(start=partial(starts.mps, mask="soft")),
    "MPS, exchanged": Recipe(start=partial(starts.mps, mask="hard", conditions=starts.exchanged())),
    PLAIN: Recipe(start=partial(starts.mps, mask="none"), frozen=("soft_power",)),
    "MPS, overall alone": Recipe(
        start=partial(starts.mps, mask="hard", conditions=starts.overall_alone()), weights={}
    ),
    "head, four outputs": Recipe(start=starts.head),
    "head, no prompt": Recipe(start=partial(starts.head, prompt=False)),
    "PickScore": Recipe(start=starts.pickscore, weights={}),
    "PickScore, in_batch": Recipe(
        start=starts.pickscore, loss=LossConfig(name="in_batch"), weights={}
    ),
    "head, rao_kupper": Recipe(start=starts.head, loss=LossConfig(name="rao_kupper")),
    "head, plackett_luce": Recipe(start=starts.head, loss=LossConfig(name="plackett_luce")),
    "head, rank_hinge": Recipe(start=starts.head, loss=LossConfig(name="rank_hinge")),
    "head, gaussian": Recipe(
        start=partial(starts.head, uncertainty=True), loss=LossConfig(name="gaussian")
    ),
}
_NEEDS_QUESTIONS = {"plackett_luce", "rank_hinge"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is done; `steps` of `pairs` each for every recipe and seed."""

    quickstart: Sizes
    scenes: SceneSizes
    steps: int
    pairs: int


PLANS: Mapping[Size, Plan] = {
    "small": Plan(
        quickstart=Sizes(train_prompts=24, test_prompts=12),
        scenes=SceneSizes(train_prompts=24, test_prompts=12),
        steps=4,
        pairs=24,
    ),
    "default": Plan(
        quickstart=Sizes(train_prompts=480, test_prompts=120),
        scenes=SceneSizes(),
        steps=500,
        pairs=60,
    ),
}


@dataclass(frozen=True, slots=True)
class FromStates:
    """A reward on states of its frozen towers that were computed once for all recipes."""

    reward: FeatureReward
    states: Features
    row: Mapping[str, int]

    @torch.no_grad()
    def score(self, images: Sequence[str], prompts: Sequence[str]) -> Scores:
        rows = torch.tensor([self.row[image] for image in images])
        texts, places = distinct(prompts)
        return self.reward.score_features(
            self.states.rows(rows), self.reward.text_backbone(texts).rows(places)
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """One set of pairs, the towers that all recipes share, and where everything is kept."""

    data: Judged
    plan: Plan
    folder: Path
    towers: TimmTextTowers
    states: Features
    row: Mapping[str, int]

    @classmethod
    def of(cls, data: Judged, plan: Plan, folder: Path, seed: int) -> Bench:
        pictures = _spread([p.first for p in data.train])
        towers = starts.joined(pictures, _spread([p.prompt for p in data.train]), seed)
        shown = sorted({f for p in data.test for f in (p.first, p.second)})
        row = {file: k for k, file in enumerate(shown)}
        return cls(data, plan, folder, towers, _states(towers, shown), row)

    def earned(self, name: str, seeds: int) -> Earned:
        """What a recipe's rewards earn on the held-out pairs, mean over the seeds."""
        each = [earned(self._scored(self.train(name, s)), self.data.test) for s in range(seeds)]
        return {aspect: np.mean([one[aspect] for one in each], axis=0) for aspect in each[0]}

    def train(self, name: str, seed: int) -> Reward:
        """The reward of a recipe; training that was done before is not done again."""
        recipe, run = RECIPES[name], self.folder / "runs" / _place(name, seed)
        start = self.folder / "starts" / run.name
        if not (run / "summary.json").is_file():
            shutil.rmtree(run, ignore_errors=True)
            with torch.random.fork_rng([]):
                torch.default_generator.manual_seed(seed)
                starts.save(recipe.start(deepcopy(self.towers)), start)
            train_reward(self._config(recipe, run, start, seed), self._lessons(recipe))
        return beholder.load(str(run))

    def _config(self, recipe: Recipe, run: Path, start: Path, seed: int) -> RewardTraining:
        steps = self.plan.steps
        return RewardTraining(
            run=str(run),
            reward=str(start),
            loss=recipe.loss,
            aspect_weights=recipe.weights,
            frozen=recipe.frozen,
            pairs_per_batch=self.plan.pairs,
            held_out_share=0.0,
            feature_cache=str(self.folder.parent / "features"),
            device="cpu",
            fit=FitConfig(
                steps=steps,
                learning_rate=_RATE,
                warmup_steps=steps // 10,
                weight_decay=_DECAY,
                ema_decay=0.98,
                precision="fp32",
                checkpoint_every_steps=steps,
                seed=seed,
            ),
        )

    def _lessons(self, recipe: Recipe) -> list[Preference]:
        """The pairs; where orders are learned, all pairs of a prompt make up one question."""
        if recipe.loss.name not in _NEEDS_QUESTIONS:
            return list(self.data.train)
        return [_asked_with_its_prompt(p) for p in self.data.train]

    def _scored(self, reward: Reward) -> FromStates:
        return FromStates(cast("FeatureReward", reward), self.states, self.row)


def earned(judge: PictureScorer, test: Sequence[Preference]) -> dict[str, Floats]:
    """What a judge earns on the pairs, by prompt and aspect."""
    scored = score_pairs(judge, test)
    answers = {aspect: scored.answers(aspect) for aspect in ASPECTS}
    return {
        aspect: earned_by_prompt(a.margin, a.p_first, a.prompts, "imagereward")
        for aspect, a in answers.items()
    }


def accuracy(sums: Floats) -> str:
    """In percent, with its interval over prompts."""
    found = share(sums)
    return f"{100 * found.median:.1f} [{100 * found.low:.1f} {100 * found.high:.1f}]"


def difference(first: Floats, second: Floats) -> str:
    """Of two accuracies on the same pairs, in points, with its interval over the same prompts."""
    sums = np.column_stack([first[:, 0] - second[:, 0], first[:, 1]])
    interval = percentile_interval(ratio(resampled_sums(sums, DRAWS, 0)))
    value = ratio(sums.sum(0, keepdims=True)).item()
    return f"{100 * value:+.1f} [{100 * interval.low:+.1f} {100 * interval.high:+.1f}]"


def kept_words(reward: MPS, test: Sequence[Preference]) -> dict[str, float]:
    """Share of the prompts' words that each condition's mask keeps, and that two keep unlike."""
    first = {p.prompt: p.first for p in test}
    shares: dict[str, list[float]] = {}
    for prompt, picture in list(first.items())[:_PROMPTS]:
        told = reward.explain(picture, prompt)
        kept = {one.condition: np.array([w.kept for w in one.words]) for one in told}
        for name, words in kept.items():
            shares.setdefault(name, []).append(float(words.mean()))
        unlike = [float((kept[a] != kept[b]).mean()) for a, b in combinations(ASPECTS[:3], 2)]
        shares.setdefault("unlike", []).append(float(np.mean(unlike)))
    return {name: float(np.mean(values)) for name, values in shares.items()}


def report(
    bench: Bench, names: Sequence[str], seeds: int, found: list[Row] | None = None
) -> Iterator[str]:
    """The tables of one set of pairs; ratios are added to those `found`."""
    data, test = bench.data, bench.data.test
    save_baseline(bench.folder / "baseline")
    untrained = beholder.load(str(bench.folder / "baseline"))
    figures: dict[str, Earned] = {
        "perfect judge": earned(PerfectJudge(data.qualities), test),
        UNTRAINED: earned(untrained, test),
    }
    figures |= {name: bench.earned(name, seeds) for name in names}
    if found is not None:
        found += rows(figures, names, f"{data.name}, {bench.plan.steps} steps")
    counted = int(next(iter(figures.values()))["overall"][:, 1].sum())
    yield (
        f"{data.name}: {len(data.train)} pairs to learn from, {len(test)} held out of "
        f"{len({p.prompt for p in test})} prompts ({counted} without a tie in overall)"
    )
    yield "accuracy in percent (chance 50) and its 95 % interval over prompts"
    yield _table(figures, lambda one, aspect: accuracy(one[aspect]))
    if PLAIN in figures:
        others = {n: e for n, e in figures.items() if n in RECIPES and n != PLAIN}
        yield f"\npoints above {PLAIN!r}, on the same pairs"
        yield _table(others, lambda one, aspect: difference(one[aspect], figures[PLAIN][aspect]))
    if (hard := "MPS, hard mask") in names:
        yield f"\nshare of a prompt's words that {hard!r} keeps; unlike: of two dimensions' masks"
        yield from _words(bench, hard)


def _words(bench: Bench, name: str) -> Iterator[str]:
    trained = cast("MPS", bench.train(name, 0))
    before = cast("MPS", beholder.load(str(bench.folder / "starts" / _place(name, 0))))
    rows = {"before": before, "after training": trained}
    shares = {when: kept_words(reward, bench.data.test) for when, reward in rows.items()}
    header = ["", *next(iter(shares.values()))]
    yield table([[when, *found.values()] for when, found in shares.items()], header)


def _table(figures: Mapping[str, Earned], cell: Callable[[Earned, str], str]) -> str:
    rows = [[name, *(cell(one, aspect) for aspect in ASPECTS)] for name, one in figures.items()]
    return table(rows, ["", *ASPECTS])


def _states(towers: TimmTextTowers, pictures: Sequence[str]) -> Features:
    with torch.no_grad():
        parts = [towers.image_backbone(towers.preprocess(p[None])) for p in read_all(pictures)]
    return Features(torch.cat([p.tokens for p in parts]), torch.cat([p.pooled for p in parts]))


def _spread(values: Sequence[str]) -> list[str]:
    """Some of the distinct values, spread over all of them."""
    known = sorted(set(values))
    return known[:: max(1, len(known) // _SAMPLE)][:_SAMPLE]


def _place(name: str, seed: int) -> str:
    return f"{name} {seed}".replace(", ", "-").replace(" ", "-")


def _asked_with_its_prompt(p: Preference) -> Preference:
    return Preference(
        key=p.prompt, prompt=p.prompt, first=p.first, second=p.second, p_first=p.p_first
    )


def sets(plan: Plan, folder: Path, seed: int, only: str) -> Iterator[Judged | str]:
    """The sets of pairs that can be made here, or why one cannot."""
    if only in {"", "quickstart"}:
        shutil.rmtree(folder / "quickstart" / "judgements", ignore_errors=True)
        yield quickstart(folder / "quickstart", plan.quickstart, seed)
    if only in {"", "scenes"}:
        try:
            yield scenes(folder / "scenes", plan.scenes, seed)
        except MissingDependencyError as why:
            yield f"scenes: left out: {why}"


def lines(
    plan: Plan,
    folder: Path,
    seeds: int,
    *,
    names: Sequence[str] = tuple(RECIPES),
    only: str = "",
    found: list[Row] | None = None,
) -> Iterator[str]:
    """The report."""
    taught = f"{plan.steps} steps of {plan.pairs} pairs"
    yield heading("torch", "timm", "transformers")
    yield f"{taught}, {seeds} seed(s); simulated annotators"
    for data in sets(plan, folder, 0, only):
        yield ""
        if isinstance(data, str):
            yield data
        else:
            place = folder / data.name / taught.replace(" ", "-")
            yield from report(Bench.of(data, plan, place, 0), names, seeds, found)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--size", choices=list(PLANS), default="default")
    made.add_argument("--seeds", type=int, default=1)
    made.add_argument("--steps", type=int, help="of each recipe, in place of those of the size")
    made.add_argument("--data", choices=["quickstart", "scenes"], default="", help="only one")
    made.add_argument("--folder", type=Path, help="keep everything here, to go on with it")
    given = made.parse_args()
    logging.disable(logging.WARNING)
    plan = PLANS[given.size]
    plan = replace(plan, steps=given.steps or plan.steps)
    with TemporaryDirectory() as temporary, one_thread():
        told, found = list[str](), list[Row]()
        folder = (given.folder or Path(temporary)) / given.size
        for line in lines(plan, folder, given.seeds, only=given.data, found=found):
            print(line, flush=True)
            told.append(line)
    tell(given, "\n".join(told), [_UNTAUGHT] if given.size == "small" else found, said=True)


if __name__ == "__main__":
    main()
