"""The labels of the k nearest training rows vote, by the softmax of their cosines."""

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import normalize

from ltbench.method import Choice, FitStage, Method, MethodConfig, Needs


class Neighbours(nn.Module):
    def __init__(self, dim, classes, k, sharpness):
        super().__init__()
        self.dim, self.classes, self.k, self.sharpness = dim, classes, k, sharpness

    def on_fit_start(self, stats):  # the number of rows is known from here on, and again when a run is loaded
        self.register_buffer("keys", torch.zeros(stats.rows, self.dim))
        self.register_buffer("labels", torch.zeros(stats.rows, self.classes))

    def fit(self, data):
        features, observed = data.gather()
        self.keys.copy_(normalize(features, dim=1))
        self.labels.copy_(observed)  # +1, -1, and 0 for unknown, which votes for nothing

    def logits(self, batch):
        near = (normalize(batch.input, dim=1) @ self.keys.T).topk(min(self.k, len(self.keys)), dim=1)
        votes = (self.sharpness * near.values).softmax(dim=1).unsqueeze(2)
        return (votes * self.labels[near.indices]).sum(dim=1)


class AcmeNeighbours(Method):
    class Config(MethodConfig):
        k: int = Field(10, ge=1, description="rows that vote")
        sharpness: float = Field(20.0, gt=0, description="factor of cosines before their softmax")

    @classmethod
    def search_space(cls):
        return {"k": Choice((5, 10, 20)), "sharpness": Choice((5.0, 20.0, 80.0))}

    def needs(self):
        return Needs(input="global", calibrated=False)  # sums of votes, no probabilities

    def stages(self, context):
        c = self.config
        module = Neighbours(context.backbone.card.dim, len(context.class_names), c.k, c.sharpness)
        return [FitStage("store", module, module.fit)]
