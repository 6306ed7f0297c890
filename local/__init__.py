"""What a person runs on their own machine: the `churn` command line, the local runner of KFP pipelines, the demo."""
