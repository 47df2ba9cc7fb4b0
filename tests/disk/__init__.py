"""A disk that fails, fills up, or loses its power, below the very calls that the ledger makes: SQLite's and Python's own."""
