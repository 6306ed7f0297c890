"""The predictor: a KServe model that answers for customers, by id, by features, or by both, over v1, v2 and gRPC.

`launch` starts it, `server` is the process, `model` the KServe model, `champion` what answers."""
