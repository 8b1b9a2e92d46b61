"""Classes that training never saw: maps into word space, attention, and hand-written texts."""
