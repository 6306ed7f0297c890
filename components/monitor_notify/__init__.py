"""Monitor, after the judgement is recorded: whom it concerns is told what drifted, by how much, and since when."""
