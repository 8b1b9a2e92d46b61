"""AcmePrompts, a plugin of ltbench."""
