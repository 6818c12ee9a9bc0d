"""The SQL database: its tables, its migrations, and the only way to open a transaction on it."""
