"""Cards: what a task says about itself, counted where the data are at hand."""
