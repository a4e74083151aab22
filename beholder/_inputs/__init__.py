"""The parts of `beholder.inputs`, `images` and `located`: pictures and prompts from files."""
