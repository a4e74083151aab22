"""How results show themselves: HTML in a notebook, an aligned table everywhere else."""
