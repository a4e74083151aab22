"""How `beholder.eval.report` becomes one HTML page: records, selection, pictures, plots, page."""
