"""SCPNet for ltbench."""
