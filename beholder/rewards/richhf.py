"""RichHF: four scores, two heatmaps and the misaligned words of a picture and its prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from typing_extensions import override

from beholder._page.feedback import PictureFeedback
from beholder._published.weights import Published, fetch, load_exact, read_state, renamed
from beholder.errors import ConfigError, DataError, WeightsError
from beholder.images import ImageSource
from beholder.rewards._base import Reward, RewardCard, distinct, prompt_fault, take_options
from beholder.rewards._richhf.heads import STAGES, HeatmapPredictor, PooledScore, ScorePredictor
from beholder.rewards._richhf.joint import Joint, TextStates, build_t5, t5_options
from beholder.rewards._richhf.pictures import build_pictures
from beholder.rewards._richhf.published import own_name as own_name
from beholder.rewards._richhf.published import recognises as recognises
from beholder.rewards._richhf.sizes import SIZES, sized, tiny_tokenizer
from beholder.rewards._richhf.tokens import WordTokenizer
from beholder.rewards._richhf.words import (
    Marks,
    WordHead,
    generate,
    guided_logits,
    sequence_loss,
)
from beholder.rewards._towers._encoders import TextEncoder
from beholder.types import MAPS, RATED, Scores, WordLabel
from beholder.words import word_spans

Variant = Literal["multi_head", "augmented"]
Batching = Literal["exact", "published"]
Words = Literal["decoder", "head", "none"]
Caption = Literal["prompt", "words"]

TOKENIZER = Published("google-t5/t5-base", "tokenizer.json", "main", None)
"""T5's tokenizer; no checksum is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How large the heads are.

    Attributes:
        heatmap_width, score_width: channels; None takes T5's dimension, as published.
        heatmap_stages: doublings of the grid up to the heatmaps' resolution; published are four.
        scores_pooled: whether scores are read from means and maxima over the grid instead of cell
            by cell as published; learns from fewer pictures.
        words: whether there is a light word head beside the decoder.
    """

    heatmap_width: int | None = None
    score_width: int | None = None
    heatmap_stages: int = STAGES
    scores_pooled: bool = False
    words: bool = False

    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> Heads:
        """Heads of those values; ConfigError if one is unknown."""
        known = set(cls.__dataclass_fields__)
        return cls(**cast("Any", take_options(options, known, "heads of richhf")))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What RichHF says of `b` pictures, before any sigmoid.

    Attributes:
        scores: aspect -> logits.
        maps: kind -> logits of a square map.
        text: joint states of the prompts, from which words are read.
    """

    scores: Mapping[str, Float[Tensor, " b"]]
    maps: Mapping[str, Float[Tensor, "b m m"]]
    text: TextStates


class RichHF(Reward):
    """Rich feedback (Liang et al., CVPR 2024): what is wrong, where, and which words were missed.

    Picture tokens and prompt tokens go through one T5 encoder. From the picture's joint tokens,
    laid out as a grid, convolutions draw a heatmap of each kind and give a score for each aspect;
    from the prompt's joint tokens a T5 decoder writes the prompt with its misaligned words marked.

    Args:
        vision: options of `build_pictures`: a vision transformer, or a timm model.
        t5: values of transformers' `T5Config`, or "folder" with pretrained weights; "tokenizer" is
            the text of a tokenizer.json, unless `text` has one or weights bring it.
        text: options of a transformers text encoder whose states stand in for T5's word embeddings
            and whose tokenizer is used; None for T5's own.
        variant: "multi_head" has a head for each of the six outputs; "augmented" one of each type,
            and the encoder runs again for each output with its name put before the prompt.
        batch: "exact" hides the padding of short prompts from attention, so that a score does not
            depend on its neighbours; "published" does not, as the weights of the author were made.
        words: who reads the words: the "decoder", guided along the prompt; the light "head", if
            the model has one; or "none". They are read where no gradient is asked for.
        caption: what is encoded: the whole "prompt", or as published its "words" without
            punctuation, joined by spaces.
        heads: values of `Heads`.

    Maps and scores lie in [0, 1]; scores are higher for better pictures, maps where a picture is
    worse. The total is the overall score.
    """

    card = RewardCard(
        name="richhf",
        paper="Liang et al., Rich Human Feedback for Text-to-Image Generation, CVPR 2024",
        measures="plausibility, alignment, aesthetics and overall quality, and where they fail",
        weights_license="CC-BY-NC-4.0",
        weights="none on the hub; rahf_model.pt of youweiliang/RichHF, by the paper's author, is "
        "yours to obtain: weights='rahf_model.pt'",
        score_range=(0.0, 1.0),
        aspects=RATED,
        notes=(
            "maps implausibility and misalignment, and misaligned words, come with the scores",
            "batch='exact' masks padding; the author's code does not, so its scores depend on the "
            "other prompts of a batch: batch='published'",
            "pictures are squeezed to a square, and maps stretched back",
            "word probabilities are the decoder's at the end of each word of the prompt, not read "
            "from a freely written sentence",
        ),
    )

    position: Tensor | None

    def __init__(
        self,
        *,
        vision: Mapping[str, object],
        t5: Mapping[str, object],
        text: Mapping[str, object] | None = None,
        heads: Mapping[str, object] | None = None,
        variant: str = "multi_head",
        batch: str = "exact",
        words: str = "decoder",
        caption: str = "prompt",
    ) -> None:
        super().__init__()
        _check_choices(variant=variant, batch=batch, words=words, caption=caption)
        self.heads = Heads.from_options(heads or {})
        if words == "head" and not self.heads.words:
            raise ConfigError("words='head' needs a model with heads={'words': True}")
        values = dict(t5)
        tokenizer = cast("str | None", values.pop("tokenizer", None))
        encoder = None if text is None else TextEncoder.from_options(text)
        self.tokens = WordTokenizer.beside(encoder, tokenizer)
        self.vision = build_pictures(vision)
        self.joint = Joint(build_t5(values, self.tokens.special_ids()), encoder)
        self.visual_token_projection = nn.Linear(self.vision.width, self.joint.dim)
        self.register_buffer("position", self.vision.position(self.joint.dim), persistent=False)
        self.heatmap_predictor = _heads(variant, MAPS, self._heatmap_head)
        self.score_predictor = _heads(variant, RATED, self._score_head)
        self.word_head = WordHead(self.joint.dim) if self.heads.words else None
        self.variant, self.batch, self.words, self.caption = variant, batch, words, caption

    @property
    def map_side(self) -> int:
        """Cells of a side of the heatmaps."""
        return int(self.vision.grid * 2**self.heads.heatmap_stages)

    @override
    @classmethod
    def from_options(cls, options: Mapping[str, object]) -> RichHF:
        known = {"vision", "t5", "text", "heads", "variant", "batch", "words", "caption"}
        given = take_options(options, known, "richhf")
        if not {"vision", "t5"} <= given.keys():
            raise ConfigError("richhf needs the options vision and t5")
        return cls(**cast("Any", given))

    @override
    def options(self) -> dict[str, object]:
        return {
            "vision": self.vision.options(),
            "t5": t5_options(self.joint.t5),
            "text": None if self.joint.text is None else self.joint.text.options(),
            "variant": self.variant,
            "batch": self.batch,
            "words": self.words,
            "caption": self.caption,
            "heads": asdict(self.heads),
        }

    @override
    def preprocess(self, pixels: Shaped[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        return self.vision.preprocess(pixels)

    @override
    def score_prepared(
        self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]
    ) -> Scores:
        said = self.predict(pixel_values, prompts)
        aspects = {name: logits.sigmoid() for name, logits in said.scores.items()}
        return Scores(
            total=aspects["overall"],
            aspects=aspects,
            maps={kind: logits.sigmoid() for kind, logits in said.maps.items()},
            words=() if torch.is_grad_enabled() else self.word_labels(said, prompts),
        )

    def predict(self, pixel_values: Float[Tensor, "b 3 s t"], prompts: Sequence[str]) -> Prediction:
        """Logits of scores and maps, and the prompts' states, of values that `preprocess` gave."""
        picture = self._picture(pixel_values)
        captions = [self._caption(prompt) for prompt in prompts]
        states, text = self._join(picture, captions)
        if self.variant == "multi_head":
            grids = dict.fromkeys((*RATED, *MAPS), states)
        else:
            grids = {name: self._join(picture, captions, name)[0] for name in (*RATED, *MAPS)}
        return Prediction(
            {name: _head(self.score_predictor, name)(grids[name]).float() for name in RATED},
            {kind: _head(self.heatmap_predictor, kind)(grids[kind]).float() for kind in MAPS},
            text,
        )

    def tower_modules(self) -> tuple[nn.Module, nn.Module]:
        """The picture's and the prompt's pretrained parts: what a trainer may freeze."""
        return self.vision, self.joint.t5 if self.joint.text is None else self.joint.text

    def explain(self, image: ImageSource, prompt: str) -> PictureFeedback:
        """What is wrong with one picture, and where; it draws itself in a notebook.

        Raises ImageError or DataError if picture or prompt cannot be read.
        """
        if why := prompt_fault(prompt):
            raise DataError(f"prompt: {why}")
        return PictureFeedback.of(image, prompt, self.score([image], [prompt]))

    @torch.no_grad()
    def word_labels(self, prediction: Prediction, prompts: Sequence[str]) -> list[list[WordLabel]]:
        """Every word of each prompt with its span and its probability to be misaligned.

        By the decoder or the head, as the option `words` says; empty if it says "none".
        """
        if self.words == "none":
            return []
        read = self.word_logits if self.words == "head" else self.guided_logits
        rows = zip(prompts, read(prediction, prompts), strict=True)
        return [_labels(prompt, logits.sigmoid().tolist()) for prompt, logits in rows]

    def guided_logits(
        self, prediction: Prediction, prompts: Sequence[str]
    ) -> list[Float[Tensor, " w"]]:
        """The decoder's logit of each word of each prompt to be misaligned."""
        words = [_words(prompt) for prompt in prompts]
        return guided_logits(self.joint.t5, prediction.text, self.tokens, words)

    def sequence_loss(
        self,
        prediction: Prediction,
        prompts: Sequence[str],
        marks: Marks,
        *,
        ignore_pads: bool = True,
    ) -> Float[Tensor, ""]:
        """The decoder's cross entropy in nats a token, teacher forced on the marked prompts.

        `marks` say of each word of each prompt whether it is misaligned. With `ignore_pads=False`,
        as published, the padding behind short prompts counts too. Raises DataError if their
        numbers differ.
        """
        words = [_words(prompt) for prompt in prompts]
        return sequence_loss(
            self.joint.t5, prediction.text, self.tokens, words, marks, ignore_pads=ignore_pads
        )

    def write(self, prediction: Prediction) -> list[str]:
        """What the decoder writes freely, such as "a yellow_0 cat": the published form."""
        return generate(self.joint.t5, prediction.text, self.tokens)

    def word_logits(
        self, prediction: Prediction, prompts: Sequence[str]
    ) -> list[Float[Tensor, " w"]]:
        """What the light head says of each picture: a logit for each word of its prompt.

        Raises ConfigError if the model has no such head.
        """
        if self.word_head is None:
            raise ConfigError("this model has no word head; build it with heads={'words': True}")
        text = prediction.text
        places = [self.tokens.word_tokens(caption) for caption in text.captions]
        return cast("list[Tensor]", self.word_head(text.states, places))

    def _heatmap_head(self) -> nn.Module:
        dim, heads = self.joint.dim, self.heads
        return HeatmapPredictor(dim, heads.heatmap_width or dim, heads.heatmap_stages)

    def _score_head(self) -> nn.Module:
        dim, width = self.joint.dim, self.heads.score_width or self.joint.dim
        if self.heads.scores_pooled:
            return PooledScore(dim, width)
        return ScorePredictor(dim, width, self.vision.grid)

    def _picture(self, pixel_values: Tensor) -> Float[Tensor, "b n d"]:
        tokens: Tensor = self.visual_token_projection(self.vision(pixel_values))
        return tokens if self.position is None else tokens + self.position

    def _caption(self, prompt: str) -> str:
        if self.caption == "prompt":
            return prompt
        return " ".join(_words(prompt))

    def _join(
        self, picture: Float[Tensor, "b n d"], captions: Sequence[str], task: str = ""
    ) -> tuple[Float[Tensor, "b d g g"], TextStates]:
        """The picture's grid and the text after the joint encoder."""
        asked = [f"{_task(task)} {caption}" for caption in captions] if task else captions
        unique, rows = distinct(asked)
        ids, real = (part.to(self.device) for part in self.tokens.encode(unique))
        prompt = self.joint.embed(ids, real)[rows]
        real = real[rows]
        mask = real if self.batch == "exact" else None
        states, text = self.joint(picture, prompt, mask)
        side = self.vision.grid
        grid = states[:, self.vision.prefix :].mT.unflatten(2, (side, side))
        return grid, TextStates(asked, text, real, mask)


def _words(prompt: str) -> list[str]:
    return [prompt[start:end] for start, end in word_spans(prompt)]


def _labels(prompt: str, shares: Sequence[float]) -> list[WordLabel]:
    spans = zip(word_spans(prompt), shares, strict=True)
    return [WordLabel(prompt[a:b], a, b, share) for (a, b), share in spans]


def _task(name: str) -> str:
    kind = "SCORE" if name in RATED else "HEATMAP"
    return f"<output> {kind}: {name} </output>"


def _heads(variant: str, names: Sequence[str], make: Callable[[], nn.Module]) -> nn.Module:
    if variant == "augmented":
        return make()
    return nn.ModuleDict({name: make() for name in names})


def _head(heads: nn.Module, name: str) -> nn.Module:
    return heads[name] if isinstance(heads, nn.ModuleDict) else heads


def _check_choices(**given: str) -> None:
    known = {"variant": Variant, "batch": Batching, "words": Words, "caption": Caption}
    for name, value in given.items():
        choices = get_args(known[name])
        if value not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def build(weights: str | Path | None = None, size: str | None = None, **options: object) -> RichHF:
    """RichHF with the weights of a file, or to be trained: pretrained towers or random weights.

    Args:
        weights: the author's rahf_model.pt or a state dict of ours; it is read without being
            executed. Its variant is told by its names.
        size: "vit_b_t5_base" (the paper's), "vit_l_t5_base" (the author's; the default with
            `weights`), "small" or "tiny".
        options: of `RichHF`, over those of `size`: `vision={"kind": "vit", "folder": …}` and
            `t5={"folder": …}` start from pretrained towers, in a local folder or on the hub.

    Without a tokenizer among the options T5-base's is fetched from the hub; "tiny" has its own.

    Raises:
        ConfigError: if a size or an option is unknown or out of range.
        WeightsError: if there are no weights to load, or they are damaged or do not fit.
    """
    if weights is None and size is None and "vision" not in options:
        raise WeightsError(
            "RichHF's weights are on no hub; give weights='rahf_model.pt' (the author's, CC BY-NC "
            "4.0), a folder that was trained here, or to train a size: " + ", ".join(SIZES)
        )
    state = None if weights is None else read_state(weights)
    given = sized(size if weights is None else size or "vit_l_t5_base", options)
    if state is not None and "variant" not in given:
        multi_head = any(".implausibility." in name for name in state)
        given["variant"] = "multi_head" if multi_head else "augmented"
    if given.get("text") is None:
        t5 = cast("Mapping[str, object]", given.get("t5", {}))
        given["t5"] = t5 if "tokenizer" in t5 else {**t5, "tokenizer": _tokenizer(size)}
    reward = RichHF.from_options(given)
    if state is not None:
        load_exact(reward, renamed(state, own_name), ignore=("tokens.*",), where=str(weights))
    return reward


def _tokenizer(size: str | None) -> str:
    return tiny_tokenizer() if size == "tiny" else fetch(TOKENIZER).read_text(encoding="utf-8")
