"""How long a purge takes: the bound, the estimate, and the end of a run."""
