"""Which questions are asked, of which pictures, in which order."""
