"""The parts of a server that run tasks, each by itself."""
