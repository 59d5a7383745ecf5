"""Tasks as data: definitions for lm-eval, seeded generators, scoring. Knows no model and no plugin."""
