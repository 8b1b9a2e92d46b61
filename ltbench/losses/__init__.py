"""Published losses for multi-label images, one family per file.

Every loss takes logits [B, C] and labels [B, C] in {-1, 0, +1} (absent, unknown, present); unknown entries contribute
neither loss nor gradient. See :mod:`ltbench.losses.base` for precision, checks and reductions. The losses that are
about unknown labels read the 0 themselves (:class:`OwnUnknownLoss`, :mod:`ltbench.losses.unknown`).
"""

from ltbench.losses.asl import AsymmetricLoss
from ltbench.losses.assume_negative import (
    AssumeNegativeLoss,
    IgnoreUnknownLoss,
    PairwiseRankingLoss,
    WeakAssumeNegativeLoss,
)
from ltbench.losses.base import MultiLabelLoss, Over, Reduction, bce_elements, goes_over, labels_from_binary
from ltbench.losses.bce import BCELoss, ReweightedBCELoss, WeightedLoss
from ltbench.losses.circle import CircleLoss
from ltbench.losses.cse import ClassSpecificEmbeddingLoss, cosine_distance, token_cosine_distance
from ltbench.losses.distribution_balanced import DistributionBalancedLoss, RebalancedBCELoss, rebalanced_weights
from ltbench.losses.entropy import EntropyMaximizationLoss, select_soft_negatives
from ltbench.losses.expected_positives import ExpectedPositivesLoss, ROLELoss, initial_label_logits
from ltbench.losses.focal import ClassBalancedLoss, FocalLoss, focal_elements
from ltbench.losses.large_loss import LargeLoss
from ltbench.losses.ldam import LDAMLoss
from ltbench.losses.multi_focal import FocalFactors, MultiFocalLoss, head_tail_factor, occurrence_shares
from ltbench.losses.ntr import NegativeTolerantRegularization
from ltbench.losses.partial_asl import PartialAsymmetricLoss, SelectiveAsymmetricLoss, two_way_scores
from ltbench.losses.partial_bce import PartialBCELoss, SoftPartialBCELoss
from ltbench.losses.ranking import DistributionallyRobustLoss, LSEPLoss, ZLPRLoss
from ltbench.losses.semantic_transfer import (
    ClassContrastiveLoss,
    co_occurrence_labels,
    inter_pseudo_labels,
    intra_pseudo_labels,
    mixed_labels,
)
from ltbench.losses.splc import HillLoss, SPLCLoss
from ltbench.losses.unknown import EpochLoss, OwnUnknownLoss
from ltbench.losses.zero_shot import MarginRankingLoss, RankNetLoss, SemanticDiversityLoss, largest_scores

__all__ = [
    "AssumeNegativeLoss",
    "AsymmetricLoss",
    "BCELoss",
    "CircleLoss",
    "ClassBalancedLoss",
    "ClassContrastiveLoss",
    "ClassSpecificEmbeddingLoss",
    "DistributionBalancedLoss",
    "DistributionallyRobustLoss",
    "EntropyMaximizationLoss",
    "EpochLoss",
    "ExpectedPositivesLoss",
    "FocalFactors",
    "FocalLoss",
    "HillLoss",
    "IgnoreUnknownLoss",
    "LDAMLoss",
    "LSEPLoss",
    "LargeLoss",
    "MarginRankingLoss",
    "MultiFocalLoss",
    "MultiLabelLoss",
    "NegativeTolerantRegularization",
    "Over",
    "OwnUnknownLoss",
    "PairwiseRankingLoss",
    "PartialAsymmetricLoss",
    "PartialBCELoss",
    "ROLELoss",
    "RankNetLoss",
    "RebalancedBCELoss",
    "Reduction",
    "ReweightedBCELoss",
    "SPLCLoss",
    "SelectiveAsymmetricLoss",
    "SemanticDiversityLoss",
    "SoftPartialBCELoss",
    "WeakAssumeNegativeLoss",
    "WeightedLoss",
    "ZLPRLoss",
    "bce_elements",
    "co_occurrence_labels",
    "cosine_distance",
    "focal_elements",
    "goes_over",
    "head_tail_factor",
    "initial_label_logits",
    "inter_pseudo_labels",
    "intra_pseudo_labels",
    "labels_from_binary",
    "largest_scores",
    "mixed_labels",
    "occurrence_shares",
    "rebalanced_weights",
    "select_soft_negatives",
    "token_cosine_distance",
    "two_way_scores",
]
