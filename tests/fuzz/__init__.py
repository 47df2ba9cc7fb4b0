"""Coverage-guided fuzzing of what reads others' bytes: targets that say what must hold, and the inputs that were worth keeping."""
