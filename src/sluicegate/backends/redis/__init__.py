"""Redis and Valkey: revocations, events and tickets for every node."""
