"""The content of tables as numbers, compared between nodes or with a record."""
