"""A user's own folder: its table, its pictures, its split; what a task folder holds, and how it opens."""
