"""Coordinator, leases and workers of a purge in one simulated time, with every fault that one seed draws."""
