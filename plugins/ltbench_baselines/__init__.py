"""Baselines every method is measured against: zero-shot, linear probe, CoOp."""
