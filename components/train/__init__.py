"""Train: candidates compared on folds, one chosen, refitted and bundled as a single graph."""
