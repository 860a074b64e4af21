"""What the inspector tells and does, on the embedded broker and on real Redis."""
