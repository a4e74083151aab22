"""What judges' scores say of pairs: which columns judge which aspect, and how sure they are."""
