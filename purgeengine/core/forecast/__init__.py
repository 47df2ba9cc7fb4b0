"""How long a purge takes: the lower bound, the estimate before a run, and the time left during a run."""
