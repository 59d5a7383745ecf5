"""Calibration: makes the data that profiles are fitted on, score tables and oracle importances, from documents."""
