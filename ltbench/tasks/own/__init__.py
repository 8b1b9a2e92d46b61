"""Tasks made from a user's own photographs or features."""
