"""The components of a server. Each does one duty, in a loop that only cancelling ends."""
