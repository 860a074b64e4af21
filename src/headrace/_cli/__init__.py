"""The command line. It uses the public API only; needs the extra ``headrace[cli]``."""
