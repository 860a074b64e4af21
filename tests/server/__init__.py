"""The server, through its public API, on both brokers."""
