"""What a scheduler is made of."""
