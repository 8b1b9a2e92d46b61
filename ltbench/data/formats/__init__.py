"""One module for each data set's own format, and what they share."""
