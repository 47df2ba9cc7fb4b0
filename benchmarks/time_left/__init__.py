"""How true the time left is that a run shows."""
