"""TaI-DPT: prompts learned from sentences in place of images, for whole images and for their regions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.method import (
    Batch,
    Choice,
    Context,
    Method,
    Needs,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    prompt_groups,
)
from ltbench.nn import CosineHead, PromptClassifier, PromptLearner, Shared, fill, imagenet_templates
from ltbench_baselines.clip.nouns import SYNONYMS, NounMatcher


class PairRankingLoss(nn.Module):
    """``sum over present p and absent a of max(0, margin - s_p + s_a)``, mean over rows that have a present class.

    Unknown labels are in no pair.

    Source: TaI-DPT (Guo et al., CVPR 2023, section 3.3), whose release has margin 1 and scores of 4 cos.

    Args:
        margin: by how much a present class shall lie above an absent one.
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [B, C] against labels [B, C] in {-1, 0, +1}; 0 when no row has a present class."""
        scores = logits.float()
        present = labels > 0
        rows, columns = present.nonzero(as_tuple=True)
        gaps = self.margin - scores[rows, columns, None] + scores[rows]
        total: Tensor = (torch.relu(gaps) * (labels[rows] < 0)).sum()
        return total / present.any(dim=1).sum().clamp(min=1)


class Sentences:
    """Texts through the frozen tower: the feature of the whole, and one for each token.

    Args:
        tower: frozen text tower; used, not owned.
        sequence: whether tokens are asked for.
    """

    def __init__(self, tower: TextTower, sequence: bool) -> None:
        self.tower = tower
        self.sequence = sequence

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor | None, Tensor]:
        """L2-normalised features [n, D] and [n, L, D] (None where not asked for), and ends int64 [n]."""
        tokens = self.tower.tokenize(texts).to(device)
        ends = self.tower.end_positions(tokens)
        embeddings = self.tower.embed_tokens(tokens[:, : int(ends.max()) + 1])
        if not self.sequence:
            return normalize(self.tower.encode_embeddings(embeddings, ends).float(), dim=-1), None, ends
        whole, each = self.tower.encode_tokens(embeddings, ends)
        return normalize(whole.float(), dim=-1), normalize(each.float(), dim=-1), ends


def pooled(cosines: Tensor, sharpness: float) -> Tensor:
    """``sum_l softmax_l(sharpness cos_lc) cos_lc`` over places l of cosines [n, L, C], as [n, C]; -inf is no place."""
    weights = torch.softmax(sharpness * cosines, dim=1)
    return (weights * torch.where(weights > 0, cosines, 0.0)).sum(dim=1)


class TaIDPTModule(nn.Module):
    """Global prompts, local prompts, and the sentences that they are learned from.

    Args:
        tower: frozen text tower; used, not owned.
        whole: classifier of global features.
        local: classifier of the features of regions or tokens; None learns global prompts only.
        criterion: loss of scores [B, C] and labels [B, C].
        names: class columns that a sentence names; None takes the observed labels of its row.
        extra: sentences of one class each, with their columns, that join the captions of a step by turns.
        share: how many of them, as a share of the captions.
        text_sharpness, image_sharpness: of the pooling over tokens and over regions.
        merge: weight of the global score in a prediction.
    """

    turn: Tensor

    def __init__(
        self,
        tower: TextTower,
        whole: PromptClassifier,
        local: PromptClassifier | None,
        criterion: nn.Module,
        names: Callable[[str], set[int]] | None,
        extra: Sequence[tuple[str, int]] = (),
        share: float = 0.0,
        text_sharpness: float = 50.0,
        image_sharpness: float = 40.0,
        merge: float = 0.5,
    ) -> None:
        super().__init__()
        self._shared = Shared(tower)
        self.whole = whole
        self.local = local
        self.criterion = criterion
        self.names = names
        self.extra = tuple(extra)
        self.share = share if self.extra else 0.0
        self.sharpness = {"text": text_sharpness, "image": image_sharpness}
        self.merge = merge
        self.sentences = Sentences(tower, sequence=local is not None)
        # Whose turn it is, so that a resumed run goes on where it stopped.
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C] of images: global score, merged with that of the regions where there are local prompts."""
        scores: Tensor = self.whole(normalize(batch.features.float(), dim=-1))
        if self.local is None:
            return scores
        assert isinstance(batch.input, tuple)
        regional = self._local_scores(normalize(batch.input[1].float(), dim=-1), self.sharpness["image"])
        return self.merge * scores + (1.0 - self.merge) * regional

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Ranking losses of the captions; images are not looked at.

        Raises:
            ValueError: the batch carries no captions.
        """
        if batch.captions is None:
            raise ValueError("captions stand for images here, so that every training row needs one; got none")
        device = batch.observed.device
        count = math.ceil(self.share * len(batch.captions))
        chosen = [self.extra[(int(self.turn) + k) % len(self.extra)] for k in range(count)]
        if chosen:
            self.turn.add_(count)
        labels = self._labels(batch, [column for _, column in chosen])
        features, each, ends = self.sentences([*batch.captions, *(text for text, _ in chosen)], device)
        terms = {"loss_global": self.criterion(self.whole(features), labels)}
        if self.local is not None:
            assert each is not None
            behind = torch.arange(each.shape[1], device=device) > ends[:, None]
            scores = self._local_scores(each, self.sharpness["text"], behind)
            terms["loss_local"] = self.criterion(scores, labels)
        return terms

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned contexts in front of other class names; sentences keep the classes of training."""
        for classifier in (self.whole, self.local):
            if classifier is not None:
                classifier.set_classes(names)

    def _local_scores(self, places: Tensor, sharpness: float, left_out: Tensor | None = None) -> Tensor:
        """Scores [n, C] of places [n, L, D], some of which may be left out [n, L]."""
        assert self.local is not None
        cosines = places @ self.local.class_features().T
        if left_out is not None:
            cosines = cosines.masked_fill(left_out[:, :, None], -torch.inf)
        scores: Tensor = self.local.head.log_scale.exp() * pooled(cosines, sharpness)
        return scores

    def _labels(self, batch: Batch, columns: Sequence[int]) -> Tensor:
        """Labels int8 [B + k, C] of the captions and of k sentences of one class each."""
        observed = batch.observed
        assert batch.captions is not None
        if self.names is None:
            named = observed
        else:
            named = torch.full_like(observed, -1)
            for row, caption in enumerate(batch.captions):
                named[row, sorted(self.names(caption))] = 1
        single = torch.full((len(columns), observed.shape[1]), -1, dtype=observed.dtype, device=observed.device)
        single[torch.arange(len(columns)), list(columns)] = 1
        return torch.cat([named, single])

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._shared.apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class TaIDPT(Method):
    """Learns two contexts of class prompts from captions alone: no image is looked at in training.

    A caption takes an image's place. Its feature is compared with the global prompts and, word by word, with the local
    ones; each class is scored at the words that fit it best. At test the image's global feature and its regions do what
    the caption and its words did. Both towers stay frozen.

    Source: Guo et al., Texts as Images in Prompt Tuning for Multi-Label Image Recognition, CVPR 2023.
    """

    class Config(TrainingConfig):
        """Options of ``tai-dpt``. Sources in brackets; "ours" where the release has no such option."""

        labels: Literal["captions", "observed"] = Field(
            "captions", description="what is present: classes a caption names, or its row's labels [captions; ours]"
        )
        synonyms: bool = Field(True, description="know other nouns of VOC, COCO and shapes classes [release: yes]")
        local: bool = Field(True, description="local prompts besides the global ones; needs regions [3.3]")
        init: str | None = Field(None, description="words both contexts start from; null: N(0, 0.02^2) [release]")
        context_tokens: int = Field(16, ge=1, description="context vectors M of either context [release]")
        class_specific: bool = Field(False, description="contexts of its own for each class [release: no]")
        margin: float = Field(1.0, gt=0, description="margin of the ranking loss [release]")
        scale: float = Field(4.0, gt=0, description="factor of cosines in all scores [release]")
        text_sharpness: float = Field(50.0, gt=0, description="of the pooling over words [release]")
        image_sharpness: float = Field(40.0, gt=0, description="of the pooling over regions [release]")
        merge: float = Field(0.5, ge=0, le=1, description="weight of the global score at test [release]")
        templates: float = Field(
            0.05,
            ge=0,
            description="filled ImageNet templates a step, as a share of its captions [release: 89 C in all]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [release]")
        lr: float = Field(1e-4, gt=0, description="learning rate [release]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [release]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay [release]")
        epochs: int = Field(20, ge=1, description="passes over the captions [release]")
        batch_size: int = Field(512, ge=1, description="captions a step [release]")
        augment: Literal["none"] = Field("none", description="no image is looked at in training")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Optimiser and rate, and how many templates join the captions."""
        return {
            "lr": Uniform(1e-4, 1e-2, log=True),
            "optimizer": Choice(("adam", "adam", "sgd")),
            "templates": Choice((0.05, 0.5)),
        }

    def needs(self) -> Needs:
        """Captions and a text tower; regions for the local prompts. Scores rank classes and are no probabilities."""
        config = self.config
        return Needs(
            input="region" if config.local else "global",
            text=True,
            captions=True,
            classes="fixed" if config.class_specific else "open",
            calibrated=False,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config, names = self.config, context.class_names
        tower = context.backbone.text
        assert tower is not None
        seeds = torch.Generator().manual_seed(context.seed)
        contexts = [self._prompts(tower, names, seeds) for _ in range(2 if config.local else 1)]
        matcher = NounMatcher(names, SYNONYMS if config.synonyms else {})
        module = TaIDPTModule(
            tower,
            contexts[0],
            contexts[1] if config.local else None,
            PairRankingLoss(config.margin),
            matcher if config.labels == "captions" else None,
            self._filled(names, seeds) if config.templates > 0 else (),
            config.templates,
            config.text_sharpness,
            config.image_sharpness,
            config.merge,
        )
        groups = prompt_groups(config, [classifier.prompts.ctx for classifier in contexts], [], None)
        return [config.stage("train", module, groups)]

    def _prompts(self, tower: TextTower, names: Sequence[str], seeds: torch.Generator) -> PromptClassifier:
        config = self.config
        prompts = PromptLearner(
            tower,
            names,
            context_tokens=config.context_tokens,
            init=config.init,
            class_specific=config.class_specific,
            seed=int(torch.randint(2**31, (), generator=seeds)),
        )
        return PromptClassifier(prompts, CosineHead(config.scale))

    def _filled(self, names: Sequence[str], seeds: torch.Generator) -> list[tuple[str, int]]:
        """Every template with every class name, shuffled once."""
        pairs = [(fill(template, name), c) for template in imagenet_templates() for c, name in enumerate(names)]
        return [pairs[k] for k in torch.randperm(len(pairs), generator=seeds).tolist()]
