"""What the program can be asked to do: purge, resume, preview, and look at mailboxes. It does not know the command line."""
