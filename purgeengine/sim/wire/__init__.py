"""How the simulated tenant reads requests and words its answers."""
