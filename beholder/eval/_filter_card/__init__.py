"""Parts of the card of a filter: counts of a column as they stream by, and how they are drawn."""
