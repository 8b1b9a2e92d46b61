"""Baselines every method is measured against, one subpackage a subject."""
