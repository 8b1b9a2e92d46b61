"""The two towers of tiny-clip: CLIP's ModifiedResNet and causal text transformer, as open_clip builds them.

Modules, names, order of initialisation and operations are those of ``open_clip.CLIP``, so that weights, features and
gradients are the same to the bit; tests compare them. They stand here because importing open_clip brings torchvision,
timm, transformers and torch's compiler along, which takes longer than all else that a short run imports.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, as open_clip
3.3.0 has it (MIT licence, Copyright (c) 2012-2021 Gabriel Ilharco, Mitchell Wortsman, Nicholas Carlini, Rohan Taori,
Achal Dave, Vaishaal Shankar, John Miller, Hongseok Namkoong, Hannaneh Hajishirzi, Ali Farhadi, Ludwig Schmidt).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

_EXPANSION: Final = 4


class Bottleneck(nn.Module):
    """A residual block whose stride is an average pool in front of its last convolution and of its shortcut.

    Args:
        inner: channels in; the block has ``4 * planes`` out.
        stride: 1 or 2.
    """

    def __init__(self, inner: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        outer = planes * _EXPANSION
        self.conv1 = nn.Conv2d(inner, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.act2 = nn.ReLU(inplace=True)
        self.avgpool: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, outer, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outer)
        self.act3 = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inner != outer:
            self.downsample = nn.Sequential()
            self.downsample.add_module("-1", nn.AvgPool2d(stride))
            self.downsample.add_module("0", nn.Conv2d(inner, outer, 1, bias=False))
            self.downsample.add_module("1", nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, inner, h, w] to [n, 4 * planes, h / stride, w / stride]."""
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        out += x if self.downsample is None else self.downsample(x)
        shown: Tensor = self.act3(out)
        return shown


class AttentionPool2d(nn.Module):
    """Attention of the mean of a map over all its places.

    Args:
        side: of the square map.
        width: its channels.
        dim: of the feature.
    """

    def __init__(self, side: int, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(side**2 + 1, width) / width**0.5)
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, dim)
        self.num_heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, width, side, side] to features [n, dim]."""
        x = x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3]).permute(2, 0, 1)
        x = torch.cat([x.mean(dim=0, keepdim=True), x], dim=0)
        x = x + self.positional_embedding[:, None, :].to(x.dtype)
        attended, _ = functional.multi_head_attention_forward(
            query=x,
            key=x,
            value=x,
            embed_dim_to_check=x.shape[-1],
            num_heads=self.num_heads,
            q_proj_weight=self.q_proj.weight,
            k_proj_weight=self.k_proj.weight,
            v_proj_weight=self.v_proj.weight,
            in_proj_weight=None,
            in_proj_bias=torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=self.c_proj.weight,
            out_proj_bias=self.c_proj.bias,
            use_separate_proj_weight=True,
            training=self.training,
            need_weights=False,
        )
        return attended[0]


class ModifiedResNet(nn.Module):
    """CLIP's ResNet with one block a stage: a stem of three convolutions, average pools for strides, attention on top.

    Args:
        width: channels behind the stem; the last map has 32 times as many.
        dim: of the features.
        side: of the last map, by which its positions are sized.
        image_size: side of the images that it is made for, in pixels.
    """

    def __init__(self, width: int, dim: int, side: int, image_size: int) -> None:
        super().__init__()
        self.output_dim = dim
        self.image_size = (image_size, image_size)
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(half, half, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.act2 = nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(half, width, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.act3 = nn.ReLU(inplace=True)
        self.avgpool = nn.AvgPool2d(2)
        self.layer1 = nn.Sequential(Bottleneck(width, width))
        self.layer2 = nn.Sequential(Bottleneck(4 * width, 2 * width, stride=2))
        self.layer3 = nn.Sequential(Bottleneck(8 * width, 4 * width, stride=2))
        self.layer4 = nn.Sequential(Bottleneck(16 * width, 8 * width, stride=2))
        self.attnpool = AttentionPool2d(side, 32 * width, 32 * width // 64, dim)
        std = self.attnpool.c_proj.in_features**-0.5
        for part in (self.attnpool.q_proj, self.attnpool.k_proj, self.attnpool.v_proj, self.attnpool.c_proj):
            nn.init.normal_(part.weight, std=std)

    def stem(self, x: Tensor) -> Tensor:
        """Images [n, 3, h, w] to maps [n, width, h / 4, w / 4]."""
        x = self.act1(self.bn1(self.conv1(x)))
        x = self.act2(self.bn2(self.conv2(x)))
        x = self.act3(self.bn3(self.conv3(x)))
        pooled: Tensor = self.avgpool(x)
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, 3, h, w] to features [n, dim]."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        features: Tensor = self.attnpool(x)
        return features


class LayerNorm(nn.LayerNorm):
    """Layer norm whose result has the type of its input, also where autocast computes it in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [..., width], normalised."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)


class Mlp(nn.Sequential):
    """Two linear maps with a GELU between them.

    Args:
        width: in and out; four times as many inside.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * width, width)


class ResidualAttentionBlock(nn.Module):
    """One layer of the text tower."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, attn_mask: Tensor) -> Tensor:
        """Tokens [n, length, width]; the mask [length, length] is added to attention."""
        normed = self.ln_1(x)
        attended, _ = self.attn(normed, normed, normed, need_weights=False, attn_mask=attn_mask.to(normed.dtype))
        x = x + attended
        shown: Tensor = x + self.mlp(self.ln_2(x))
        return shown


class Transformer(nn.Module):
    """The layers of the text tower."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, attn_mask: Tensor) -> Tensor:
        """Tokens [n, length, width] through all layers."""
        for block in self.resblocks:
            x = block(x, attn_mask)
        return x


class TinyClip(nn.Module):
    """Both towers and the temperature, named as ``open_clip.CLIP`` names them.

    Args:
        visual: the image tower.
        dim: of the features of both towers.
        context_length: tokens of a text.
        vocabulary: number of tokens; that with the largest id ends a text.
        width, layers, heads: of the text tower.
    """

    attn_mask: Tensor
    text_pool_type: Final = "argmax"

    def __init__(
        self,
        visual: ModifiedResNet,
        dim: int,
        context_length: int,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.visual = visual
        self.context_length = context_length
        self.vocab_size = vocabulary
        # Drawn first and held second, as open_clip does: optimisers go by the order of parameters.
        embedding = nn.Embedding(vocabulary, width)
        self.transformer = Transformer(width, layers, heads)
        self.token_embedding = embedding
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.ln_final = LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, dim))
        mask = torch.full((context_length, context_length), float("-inf")).triu_(1)
        self.register_buffer("attn_mask", mask, persistent=False)
        self._draw(width, layers)
        self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))

    def _draw(self, width: int, layers: int) -> None:
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        for block in self.transformer.resblocks:
            assert isinstance(block, ResidualAttentionBlock)
            nn.init.normal_(block.attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=width**-0.5 * (2 * layers) ** -0.5)
        nn.init.normal_(self.text_projection, std=width**-0.5)

    def encode_image(self, images: Tensor, normalize: bool = False) -> Tensor:
        """Features [n, dim] of images [n, 3, h, w]."""
        features: Tensor = self.visual(images)
        return functional.normalize(features, dim=-1) if normalize else features

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        """Features [n, dim] of token ids int64 [n, context_length]."""
        x = self.token_embedding(tokens) + self.positional_embedding
        x = self.ln_final(self.transformer(x, attn_mask=self.attn_mask))
        features: Tensor = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)] @ self.text_projection
        return functional.normalize(features, dim=-1) if normalize else features
