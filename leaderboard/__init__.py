"""The leaderboard: a Streamlit site over the record. Imports `db` alone; `app.py` is the script that Streamlit runs."""
