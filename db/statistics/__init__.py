"""Which differences are real: pure functions of arrays and frames. No query, no state, no plot."""
