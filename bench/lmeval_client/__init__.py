"""lm-eval's own command line as a client: a model class `lukv` that evicts. Importing `model` registers it."""
