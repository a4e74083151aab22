"""The parts of RichHF: encoders of picture and prompt, heads, words."""
