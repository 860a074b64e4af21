"""``queue``: look at queues, pause them, limit them, delete them."""
