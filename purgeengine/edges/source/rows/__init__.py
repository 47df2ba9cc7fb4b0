"""What the columns of a file mean, and which rows can be sent."""
