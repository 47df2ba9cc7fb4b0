"""What of a purge can be brought back, and how its items are told apart from those of others. Pure."""
