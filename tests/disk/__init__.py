"""A disk that fails, fills up, or loses its power, below the calls that the ledger makes: SQLite's and Python's own."""
