"""Champion against challenger on live figures: a test that may be read at any time, bounds, and what follows."""
