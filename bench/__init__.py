"""The harness: command line, registry, configurations, engine, calibration, runs."""
