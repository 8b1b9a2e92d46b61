"""How does a paper's table look again? Its rows, the runs that fill them, what was measured beside what was printed."""
