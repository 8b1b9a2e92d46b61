"""Runs stages, sweeps and searches. Import the modules; this package itself imports nothing heavy."""
