"""What is wrong with data, and which convention it follows."""
