"""The leaderboard app (not built yet). Imports `db` alone."""
