"""What every HTML page of ours is made of: frame, style, plots, thumbnails, wording."""
