"""How `beholder.eval.calibration` fits and measures: temperature, isotonic, ties, bins, page."""
