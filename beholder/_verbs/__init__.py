"""The verbs, a file each, and what they tell people; each calls one function of one room."""
