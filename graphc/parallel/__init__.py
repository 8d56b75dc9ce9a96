"""Shards of a batch in threads and processes, worker processes, shared memory."""
