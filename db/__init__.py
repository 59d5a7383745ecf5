"""The record: schema, migrations, queries and statistics. Knows no other room."""
