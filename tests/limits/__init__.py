"""Tests of what limits the work: queue limits and semaphores."""
