"""Where the runs of a sweep are made: on this machine, on a cluster, or wherever a plugin takes them."""
