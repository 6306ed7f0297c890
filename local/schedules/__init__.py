"""When pipelines run in a cluster: declared in a YAML, and brought about in Kubeflow Pipelines."""
