"""Qwen2-VL as rewards use it: one picture, one question, the state of the last token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from beholder.errors import ConfigError
from beholder.rewards._vlm.chat import Chats, ChatTokenizer
from beholder.rewards._vlm.pictures import patches
from beholder.rewards._vlm.rotary import check_rotary, grid_angles, renew_rotary
from beholder.rewards._vlm.sizes import Sizes, model_config, shape_of

Positions = Literal["grid", "line"]
"""Where picture tokens stand for the rotary angles: in rows and columns, as the model was made
(Wang et al., 2024, section 2.1), or one after another like words."""


class Qwen2VL(nn.Module):
    """transformers' `Qwen2VLModel` with its tokenizer; no score depends on the rest of a batch.

    Args:
        sizes: of the model.
        tokenizer: renders the chats.
        positions, rotary: as the model was trained.

    Raises ConfigError if a size or `rotary` is unknown or out of range.
    """

    def __init__(
        self,
        sizes: Sizes,
        tokenizer: ChatTokenizer,
        *,
        positions: Positions = "grid",
        rotary: str = "float32",
    ) -> None:
        from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel  # noqa: PLC0415

        super().__init__()
        config = model_config(sizes)
        self.sizes = {part: dict(values) for part, values in sizes.items()}
        self.shape = shape_of(config)
        self.positions: Positions = positions
        self.rotary = check_rotary(rotary)
        self.model: Any = Qwen2VLModel(config)
        self.tokenizer = tokenizer
        renew_rotary(self.model.language_model, self.rotary)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.embeddings.dtype

    @property
    def embeddings(self) -> Float[Tensor, "v d"]:
        """A row for each token of the vocabulary."""
        weight: Tensor = self.model.language_model.embed_tokens.weight
        return weight

    def check_vocabulary(self) -> None:
        """Raise ConfigError if the tokenizer has more tokens than the model."""
        if len(self.tokenizer) > len(self.embeddings):
            raise ConfigError(
                f"the tokenizer has {len(self.tokenizer)} tokens, the model {len(self.embeddings)};"
                " they do not belong together"
            )

    def encode(self, pixel_values: Float[Tensor, "b 3 s t"]) -> Float[Tensor, "b h w d"]:
        """Picture tokens in the rows and columns of the picture.

        The blocks are called one by one, as what lies around them takes its rotary angles in
        another form in every few releases of transformers.
        """
        shape, visual = self.shape, self.model.visual
        rows, columns = (side // shape.patch for side in pixel_values.shape[2:])
        count = len(pixel_values)
        one = grid_angles(rows, columns, shape.merge, shape.head, self.rotary)
        angles = tuple(part.to(pixel_values.device).repeat(count, 1) for part in one)
        # on the CPU, where the blocks read it without waiting for the device
        starts = torch.arange(0, count + 1, dtype=torch.int32) * rows * columns
        flat = patches(pixel_values, shape.patch, shape.frames, shape.merge)
        states = visual.patch_embed(flat.to(self.dtype))
        for block in visual.blocks:
            states = block(states, cu_seqlens=starts, position_embeddings=angles)
        tokens: Tensor = visual.merger(states)
        return tokens.reshape(-1, rows // shape.merge, columns // shape.merge, shape.width)

    def last_states(
        self, pictures: Float[Tensor, "b h w d"], template: str, texts: Sequence[str]
    ) -> Float[Tensor, "b d"]:
        """The state of the last token of each picture's chat; see `ChatTokenizer.render`."""
        cells = pictures.shape[1] * pictures.shape[2]
        chats = self.tokenizer.render(template, texts, cells)
        return self.states(pictures, chats.to(pictures.device))

    def states(self, pictures: Float[Tensor, "b h w d"], chats: Chats) -> Float[Tensor, "b d"]:
        """Final states at the places of some chats.

        Padding needs no mask: it stands on the right, and under causal attention no token sees
        those behind it.
        """
        words = self.model.language_model.embed_tokens(chats.ids)
        cells = pictures.flatten(1, 2)
        behind = words[:, chats.before + cells.shape[1] :]
        tokens = torch.cat([words[:, : chats.before], cells, behind], dim=1)
        rows, columns = pictures.shape[1:3]
        places = self._places(chats.before, rows, columns, behind.shape[1])
        states: Tensor = self.model.language_model(
            inputs_embeds=tokens,
            position_ids=places.to(tokens.device).expand(-1, len(tokens), -1),
            use_cache=False,
        ).last_hidden_state
        return states[torch.arange(len(tokens), device=tokens.device), chats.places]

    def _places(self, before: int, rows: int, columns: int, behind: int) -> Int[Tensor, "3 1 l"]:
        """Frame, row and column for the rotary angles, the same for all rows of a batch."""
        if self.positions == "line":
            return torch.arange(before + rows * columns + behind).expand(3, 1, -1)
        grid = torch.zeros(3, rows, columns, dtype=torch.long)
        grid[1] = torch.arange(rows)[:, None]
        grid[2] = torch.arange(columns)
        words = torch.arange(before + behind).expand(3, -1)
        after = words[:, before:] + max(rows, columns)
        return torch.cat([words[:, :before], before + grid.flatten(1), after], dim=1)[:, None]

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Qwen2VL:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        renew_rotary(self.model.language_model, self.rotary)
        return self
