"""The steps of the pipelines: one folder a step, a thin KFP component beside the plain function that does the work."""
