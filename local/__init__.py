"""What a person runs on their own machine: the command line, the demo, and KFP's local runner with one interpreter a role."""
