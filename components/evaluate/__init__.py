"""Evaluate: a bundle before the gate, judged on rows no model was trained on and against the champion, and reported."""
