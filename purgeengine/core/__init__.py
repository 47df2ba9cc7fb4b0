"""What decides: no input or output, no clock, no async, no global randomness."""
