"""Distributionally robust loss (DR) for long-tailed multi-label images, and the losses it is compared with."""
