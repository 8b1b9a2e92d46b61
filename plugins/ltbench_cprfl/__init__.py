"""CPRFL for ltbench."""
