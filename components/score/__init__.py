"""Score: a part of a table, as probabilities and what follows from them."""
