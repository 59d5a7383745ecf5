"""The model class `lukv` for lm-eval's command line, which evicts. Importing `model` registers it."""
