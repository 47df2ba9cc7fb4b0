"""Jobs that only read: they look at mailboxes, look users up, and check what stands in the way of a purge."""
