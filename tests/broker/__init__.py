"""One conformance suite, for the embedded broker and for real Redis."""
