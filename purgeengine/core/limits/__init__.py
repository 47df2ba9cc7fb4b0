"""What bounds sending: request windows, rates, concurrency, waits, time-outs and the circuit breaker."""
