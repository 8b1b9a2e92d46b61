"""A user's own folder: its table, its pictures, its split."""
