"""What a large input costs, stage by stage: memory, CPU and time."""
