"""Decide: whether monitoring's judgement calls for a new model, and what it is to be trained on."""
