"""Coverage-guided fuzzing of code that reads foreign bytes: targets that say what must hold, and inputs that are worth keeping."""
