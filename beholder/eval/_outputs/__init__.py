"""The forms in which kept pictures are written, one file each."""
