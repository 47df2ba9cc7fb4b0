"""Results and progress as text for people, and as plain values for ``--json``."""
