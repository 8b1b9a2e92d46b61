"""Fine-tuning of CLIP's whole image tower: the shared trainer under the card of this subject."""

from ltbench_baselines.common.fine_tune import FineTune

__all__ = ["FineTune"]
