"""What a person runs on their own machine: the command line, the demo, and the runner of KFP pipelines."""
