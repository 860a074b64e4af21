"""``dash``: a live terminal dashboard. It needs the extra ``headrace[dash]``."""
