"""AcmeAdapter, a plugin of ltbench."""
