"""Real worker processes, stopped, killed and cut off."""
