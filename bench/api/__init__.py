"""The Python API: what `import lukv_bench` gives, and what the command line is made of."""
