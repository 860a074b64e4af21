"""The ways to reach Redis: sockets, clients of one's own, Sentinel, Cluster, restricted users."""
