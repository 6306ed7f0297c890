"""Materialise: what the predictor will read by customer id, written to the online store once the gate is passed."""
