"""A residual adapter of two layers on frozen features, and a linear head on both."""

from pydantic import Field
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from ltbench.method import Choice, GradientStage, Method, MethodConfig, Needs, ParamGroup, Schedule


class Adapter(nn.Module):
    def __init__(self, dim, classes, width, share):
        super().__init__()
        self.down, self.up, self.share = nn.Linear(dim, width), nn.Linear(width, dim), share
        self.head = nn.Linear(dim, classes)

    def logits(self, batch):
        features = normalize(batch.input, dim=1)
        changed = self.up(self.down(features).relu())
        return self.head(self.share * changed + (1 - self.share) * features)

    def loss(self, batch):
        known = batch.observed != 0
        terms = binary_cross_entropy_with_logits(self.logits(batch), (batch.observed > 0).float(), reduction="none")
        return {"loss_bce": (terms * known).sum() / known.sum().clamp(min=1)}


class AcmeAdapter(Method):
    class Config(MethodConfig):
        width: int = Field(64, ge=1, description="of the layer between")
        share: float = Field(0.5, ge=0, le=1, description="of the changed feature in what the head sees")
        lr: float = Field(0.01, gt=0, description="of AdamW")
        epochs: int = Field(20, ge=1, description="passes over the training rows")

    @classmethod
    def search_space(cls):
        return {"share": Choice((0.2, 0.5, 0.8))}

    def needs(self):
        return Needs(input="global")

    def stages(self, context):
        c = self.config
        module = Adapter(context.backbone.card.dim, len(context.class_names), c.width, c.share)
        group = ParamGroup(list(module.parameters()), c.lr, schedule=Schedule("cosine"))
        return [GradientStage("train", module, [group], epochs=c.epochs, optimizer="adamw")]
