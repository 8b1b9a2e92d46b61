"""DualCoOp++ for ltbench."""
