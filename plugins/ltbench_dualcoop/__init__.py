"""DualCoOp for ltbench."""
