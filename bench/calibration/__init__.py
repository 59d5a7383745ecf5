"""Calibration: what profiles are fitted on. Documents in, score tables and oracle importances out."""
