"""The folded-stack model: merging, folding, quality."""
