"""What a learning curve says: what more data would give, and the page that shows it."""
