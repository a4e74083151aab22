"""A reward that a server scores with: what `beholder serve` serves, asked over HTTP."""
