"""The parts of `beholder.videos`: how frames come from files."""
