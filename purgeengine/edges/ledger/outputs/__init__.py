"""What is made of ledgers: exports, chains, failures, and the rows of a retry."""
