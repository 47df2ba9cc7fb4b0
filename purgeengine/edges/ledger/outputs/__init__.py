"""What is made from ledgers: exports, chains, failures, and the rows of a retry."""
