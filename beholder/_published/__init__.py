"""Files of weights that others published: fetched, checked, read without executing anything."""
