"""Graph's language: operations, urls, batches, answers and what they mean."""
