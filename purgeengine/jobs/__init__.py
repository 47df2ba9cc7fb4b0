"""What the program can be asked to do: purge, resume, preview, look first. It knows no command line."""
