"""Tests of the benchmarks: that they work, with counts too small to say anything."""
