"""Partial labels: losses of known labels, and class features on a graph."""
