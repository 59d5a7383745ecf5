"""The identity of what is recorded: configurations, environments, content hashes."""
