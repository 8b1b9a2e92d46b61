"""LMPT: prompt tuning with class-specific embedding loss for long-tailed multi-label recognition."""
