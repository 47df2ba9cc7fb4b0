"""Jobs that only read: they look at mailboxes, look up users, and check what could prevent a purge."""
