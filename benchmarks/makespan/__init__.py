"""How close schedules come to the least time that any schedule can take, in simulated time: ``python -m benchmarks.makespan``."""
