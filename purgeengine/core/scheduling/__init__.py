"""Decides what is sent next, and what an answer means for the rows that it is about.

Begin with `scheduler`. `batch_results` takes in the end of every batch, `settlement` says what becomes of its rows, and
`mailbox` holds everything that a batch can change of a mailbox. `docs/architecture.md` draws the states of a mailbox and of
the circuit breaker.
"""
