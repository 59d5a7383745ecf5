"""Samples: a task's documents, rendered through lm-eval, cut in two and fitted into a model's window."""
