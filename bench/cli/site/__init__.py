"""The leaderboard's process: its address, start and end, and health check."""
