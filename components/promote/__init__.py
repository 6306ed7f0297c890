"""Promote: a bundle that passed the gate is registered, published and, last of all, put in charge."""
