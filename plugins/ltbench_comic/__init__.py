"""COMIC: correction, modification and balance for partial labels on a long tail."""
