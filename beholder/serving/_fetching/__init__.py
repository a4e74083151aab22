"""The parts of fetching: which hosts, which of their addresses, and one question to one of them."""
