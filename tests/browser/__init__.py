"""What is only proved in a real browser."""
