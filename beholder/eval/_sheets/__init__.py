"""Rankings, evaluations, measurements and filters as notebooks show them."""
