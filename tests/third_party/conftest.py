"""Distributions of others, as they would lie in repositories of their own; ``tests/testing`` runs their tests."""

collect_ignore_glob = ["*/tests/*"]
