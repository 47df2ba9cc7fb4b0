"""The simulated login and its credentials."""
