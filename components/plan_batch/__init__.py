"""Plan a batch: who scores what, fixed once for the whole run."""
