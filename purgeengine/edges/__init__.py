"""What does: each module touches one piece of the world and decides nothing about rows."""
