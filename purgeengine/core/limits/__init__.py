"""What bounds sending: windows, rates, concurrency, waits, time-outs and outages."""
