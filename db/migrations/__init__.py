"""The schema's history, as Alembic scripts: append-only, a published file is never edited."""
