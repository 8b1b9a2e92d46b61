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
from ltbench.losses.base import MultiLabelLoss, Reduction, bce_elements, labels_from_binary
from ltbench.losses.bce import BCELoss, ReweightedBCELoss, WeightedLoss
from ltbench.losses.circle import CircleLoss
from ltbench.losses.cse import ClassSpecificEmbeddingLoss, cosine_distance, token_cosine_distance
from ltbench.losses.distribution_balanced import DistributionBalancedLoss, RebalancedBCELoss, rebalanced_weights
from ltbench.losses.entropy import EntropyMaximizationLoss, select_soft_negatives
from ltbench.losses.expected_positives import ExpectedPositivesLoss, ROLELoss, initial_label_logits
from ltbench.losses.focal import ClassBalancedLoss, FocalLoss, focal_elements
from ltbench.losses.large_loss import LargeLoss
from ltbench.losses.ldam import LDAMLoss
from ltbench.losses.ntr import NegativeTolerantRegularization
from ltbench.losses.ranking import DistributionallyRobustLoss, LSEPLoss, ZLPRLoss
from ltbench.losses.splc import HillLoss, SPLCLoss
from ltbench.losses.unknown import EpochLoss, OwnUnknownLoss

__all__ = [
    "AssumeNegativeLoss",
    "AsymmetricLoss",
    "BCELoss",
    "CircleLoss",
    "ClassBalancedLoss",
    "ClassSpecificEmbeddingLoss",
    "DistributionBalancedLoss",
    "DistributionallyRobustLoss",
    "EntropyMaximizationLoss",
    "EpochLoss",
    "ExpectedPositivesLoss",
    "FocalLoss",
    "HillLoss",
    "IgnoreUnknownLoss",
    "LDAMLoss",
    "LSEPLoss",
    "LargeLoss",
    "MultiLabelLoss",
    "NegativeTolerantRegularization",
    "OwnUnknownLoss",
    "PairwiseRankingLoss",
    "ROLELoss",
    "RebalancedBCELoss",
    "Reduction",
    "ReweightedBCELoss",
    "SPLCLoss",
    "WeakAssumeNegativeLoss",
    "WeightedLoss",
    "ZLPRLoss",
    "bce_elements",
    "cosine_distance",
    "focal_elements",
    "initial_label_logits",
    "labels_from_binary",
    "rebalanced_weights",
    "select_soft_negatives",
    "token_cosine_distance",
]
