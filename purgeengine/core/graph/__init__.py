"""Graph's language: operations, URLs, batches, and what answers mean."""
