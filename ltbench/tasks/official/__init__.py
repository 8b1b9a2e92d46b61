"""The official tasks, one module a family or bundled data set."""
