"""The leaderboard's process: where it listens, how it is started and ended, whether it answers."""
