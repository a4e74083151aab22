"""How the pictures of `beholder.annotation.sources.scenes` are made, from cut-outs to files."""
