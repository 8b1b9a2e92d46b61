"""From features to logits."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class CosineHead(nn.Module):
    """``logits = scale * cos(image, class) + bias``.

    The scale is learned as its logarithm, which keeps it positive. Scale and bias are parameters where they are learned
    and buffers where they are not; either way they are in ``state_dict``.

    Args:
        scale: initial scale, often the pre-trained ``logit_scale``.
        bias: initial bias in logits; cosines of CLIP need a negative one to mean probabilities.
        learn_scale: train the scale.
        learn_bias: train the bias.

    Raises:
        ValueError: the scale is not positive.
    """

    log_scale: Tensor
    bias: Tensor

    def __init__(
        self, scale: float = 1.0, bias: float = 0.0, learn_scale: bool = False, learn_bias: bool = False
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"the scale must be positive, not {scale}")
        for name, value, learned in (("log_scale", math.log(scale), learn_scale), ("bias", bias, learn_bias)):
            if learned:
                self.register_parameter(name, nn.Parameter(torch.tensor(float(value))))
            else:
                self.register_buffer(name, torch.tensor(float(value)))

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """Logits [..., C] of image or region features [..., D]; both arguments are normalised here.

        Args:
            classes: class features [C, D]; or [n, C, D], a set for each of n images [n, D].
        """
        images, classes = normalize(images, dim=-1), normalize(classes, dim=-1)
        cosines = images @ classes.T if classes.dim() == 2 else (classes @ images[:, :, None]).squeeze(2)
        return self.log_scale.exp() * cosines + self.bias

    @torch.no_grad()
    def centre(self, logits: Iterable[Tensor], mean: float) -> None:
        """Move the bias so that logits of this head [n, C], handed over in parts, have this mean.

        Cosines of a CLIP model times its scale are about 20 for every class. Sigmoid losses would first spend their
        steps on moving all logits down together.

        Raises:
            ValueError: no logits.
        """
        total, count = 0.0, 0
        for part in logits:
            total += float((part - self.bias).double().sum())
            count += part.numel()
        if count == 0:
            raise ValueError("no images to centre the logits on")
        self.bias.fill_(mean - total / count)


class LinearHead(nn.Module):
    """``logits = W x + b``.

    Weights start from N(0, 0.01^2), so that first logits hardly differ between images; biases start from the log-odds
    of ``prior`` (focal loss, Lin et al. 2017, section 4.1), which keeps the many negatives from ruling the first steps.

    Args:
        dim: size of a feature.
        classes: number of classes C.
        bias: have biases.
        prior: probability of a positive at the start, one for all classes or one a class [C].
        normalise: L2-normalise the features first.
    """

    def __init__(
        self, dim: int, classes: int, bias: bool = True, prior: float | Tensor = 0.5, normalise: bool = False
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.linear = nn.Linear(dim, classes, bias=bias)
        nn.init.normal_(self.linear.weight, std=0.01)
        if bias:
            with torch.no_grad():
                self.linear.bias.copy_(torch.logit(torch.as_tensor(prior, dtype=torch.float32).expand(classes)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [..., C] of features [..., D]."""
        logits: Tensor = self.linear(normalize(features, dim=-1) if self.normalise else features)
        return logits
