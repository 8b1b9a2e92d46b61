"""Learned words in front of class names, and each name is looked for in every region of the image."""

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from ltbench.method import GradientStage, Method, MethodConfig, Needs, ParamGroup
from ltbench.nn import PromptLearner


class RegionPrompts(nn.Module):
    def __init__(self, tower, names, words, sharpness):
        super().__init__()
        self.prompts = PromptLearner(tower, names, words, init=None)
        self.sharpness = sharpness
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def set_classes(self, names):
        self.prompts.set_classes(names)

    def logits(self, batch):
        _, regions = batch.input  # [n, D] and [n, L, D]
        classes = normalize(self.prompts.tower.encode_embeddings(*self.prompts()), dim=1)
        cosines = normalize(regions, dim=2) @ classes.T  # [n, L, C]
        weights = (self.sharpness * cosines).softmax(dim=1)
        return self.scale * (weights * cosines).sum(dim=1) + self.bias

    def loss(self, batch):
        known = batch.observed != 0
        terms = binary_cross_entropy_with_logits(self.logits(batch), (batch.observed > 0).float(), reduction="none")
        return {"loss_bce": (terms * known).sum() / known.sum().clamp(min=1)}


class AcmePrompts(Method):
    class Config(MethodConfig):
        words: int = Field(4, ge=1, description="learned vectors in front of a name")
        sharpness: float = Field(20.0, gt=0, description="factor of cosines before their softmax over regions")
        lr: float = Field(0.01, gt=0, description="of AdamW")
        epochs: int = Field(20, ge=1, description="passes over the training rows")

    def needs(self):
        return Needs(input="region", text=True, classes="open")

    def stages(self, context):
        c = self.config
        module = RegionPrompts(context.backbone.text, context.class_names, c.words, c.sharpness)
        group = ParamGroup([module.prompts.ctx, module.scale, module.bias], c.lr)
        return [GradientStage("train", module, [group], epochs=c.epochs, optimizer="adamw")]
