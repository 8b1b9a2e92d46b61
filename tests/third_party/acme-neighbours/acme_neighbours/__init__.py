"""AcmeNeighbours, a plugin of ltbench."""
