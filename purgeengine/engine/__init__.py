"""The loop that carries events to the scheduler and commands to the edges, and the ports of those."""
