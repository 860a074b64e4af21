"""The tasks in Redis: key names, scripts and the connections that run them."""
