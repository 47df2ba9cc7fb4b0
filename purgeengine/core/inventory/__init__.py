"""Taking stock of mailboxes: which contacts are wanted, which are there twice, and what is still to be read."""
