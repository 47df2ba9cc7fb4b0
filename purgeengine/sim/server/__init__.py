"""The simulated tenant over HTTP, and in memory."""
