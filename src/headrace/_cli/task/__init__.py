"""``task``: look at tasks, enqueue them, and change them, one, many or all."""
