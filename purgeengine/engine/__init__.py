"""The loop that carries events to the scheduler and its commands to the edges, and the ports that the edges fit."""
