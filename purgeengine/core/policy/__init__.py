"""What a purge leaves alone, when it stops by itself, and what an administrator can do about failures."""
