"""Tasks that users make of their own documents: rows of a JSONL or CSV file, or text files and questions."""
