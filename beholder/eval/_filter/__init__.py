"""Parts of `eval.filtering`: rows decided on numpy arrays, and what is written of them."""
