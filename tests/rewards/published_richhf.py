"""The author's RAHF, written again in plain steps, with his names of weights."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration, ViTConfig, ViTModel

SCORES = ("plausibility", "alignment", "aesthetics", "overall")
MAPS = ("implausibility", "misalignment")


class Norm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(channels, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x / torch.sqrt(torch.mean(x * x, 1, keepdim=True) + 1e-8)


def conv(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, 1, 1)


class HeatmapHead(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.conv_layers = nn.Sequential(
            conv(d, d), nn.ReLU(), Norm(d), conv(d, d // 2), nn.ReLU(), Norm(d // 2)
        )
        widths = [d // 2, d, d // 2, d // 2, d // 4]
        self.deconv_layers = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(a, b, 3, 2, 1, 1), Norm(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.conv_layers2 = nn.ModuleList(
            nn.Sequential(conv(b, b), Norm(b), nn.ReLU(), conv(b, b), Norm(b)) for b in widths[1:]
        )
        self.last_conv1 = conv(d // 4, d // 4)
        self.last_conv2 = conv(d // 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_layers(x)
        for up, block in zip(self.deconv_layers, self.conv_layers2, strict=True):
            y = up(x)
            x = torch.relu(y + block(y))
        return torch.sigmoid(self.last_conv2(torch.relu(self.last_conv1(x)))).squeeze(1)


class ScoreHead(nn.Module):
    def __init__(self, d: int, side: int) -> None:
        super().__init__()
        widths = [d, d, *(max(d // k, 12) for k in (2, 4, 8, 16, 64))]  # at least those of d = 768
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [conv(a, b), Norm(b), nn.ReLU()]
        self.conv_layers = nn.Sequential(*layers)
        self.linear_layers = nn.Sequential(
            nn.Linear(widths[-1] * side * side, 512),
            nn.ReLU(),
            nn.Linear(512, 128),
            nn.ReLU(),
            nn.Linear(128, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.linear_layers(self.conv_layers(x).flatten(1)).flatten())


class Rahf(nn.Module):
    def __init__(self, vit: ViTConfig, t5: T5Config, variant: str) -> None:
        super().__init__()
        self.vit: Any = ViTModel(vit)
        self.t5: Any = T5ForConditionalGeneration(t5)
        d, self.side = t5.d_model, vit.image_size // vit.patch_size
        self.visual_token_projection = nn.Linear(vit.hidden_size, d)
        if variant == "multi_head":
            self.heatmap_predictor: Any = nn.ModuleDict({m: HeatmapHead(d) for m in MAPS})
            self.score_predictor: Any = nn.ModuleDict({s: ScoreHead(d, self.side) for s in SCORES})
        else:
            self.heatmap_predictor = HeatmapHead(d)
            self.score_predictor = ScoreHead(d, self.side)
        self.variant = variant

    def forward(
        self, pixel_values: Tensor, captions: Sequence[str], tokenize: Any
    ) -> dict[str, Tensor]:
        picture = self.visual_token_projection(self.vit(pixel_values).last_hidden_state)
        if self.variant == "multi_head":
            maps = self.features(picture, tokenize(captions))
            heads = {**self.heatmap_predictor, **self.score_predictor}
            return {name: head(maps) for name, head in heads.items()}
        found = {}
        for kind, names, head in (
            ("SCORE", SCORES, self.score_predictor),
            ("HEATMAP", MAPS, self.heatmap_predictor),
        ):
            for name in names:
                asked = [f"<output> {kind}: {name} </output> {caption}" for caption in captions]
                found[name] = head(self.features(picture, tokenize(asked)))
        return found

    def features(self, picture: Tensor, ids: Tensor) -> Tensor:
        both = torch.cat([picture, self.t5.shared(ids)], 1)
        tokens = self.t5.encoder(inputs_embeds=both).last_hidden_state
        cells = tokens[:, 1 : 1 + self.side**2]
        return cast("Tensor", cells.transpose(1, 2).reshape(len(cells), -1, self.side, self.side))

    def checkpoint(self) -> dict[str, Tensor]:
        """The state dict as transformers 4 named a ViT's weights."""
        return {_old_name(name): value for name, value in self.state_dict().items()}


def _old_name(name: str) -> str:
    name = re.sub(r"^vit\.layers\.", "vit.encoder.layer.", name)
    for new, old in {"q_proj": "query", "k_proj": "key", "v_proj": "value"}.items():
        name = name.replace(f".attention.{new}.", f".attention.attention.{old}.")
    name = name.replace(".attention.o_proj.", ".attention.output.dense.")
    name = name.replace(".mlp.fc1.", ".intermediate.dense.")
    return name.replace(".mlp.fc2.", ".output.dense.")
