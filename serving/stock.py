"""KServe, imported without what its import does to a process: it reads the command line, and warns of its past."""

from __future__ import annotations

import sys
import warnings

_arguments = sys.argv
sys.argv = sys.argv[:1]
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer
        from kserve import errors as kserve_errors
        from kserve.protocol.dataplane import DataPlane
        from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
        from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
        from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
        from kserve.protocol.grpc.server import GRPCServer
        from kserve.protocol.grpc.servicer import InferenceServicer
        from kserve.protocol.infer_type import RequestedOutput
        from kserve.protocol.rest.server import RESTServer, metrics_handler
        from kserve.protocol.rest.v1_endpoints import V1Endpoints
        from kserve.protocol.rest.v2_endpoints import V2Endpoints
finally:
    sys.argv = _arguments

__all__ = [
    "DataPlane",
    "ExceptionToStatusInterceptor",
    "GRPCServer",
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceServicer",
    "Model",
    "ModelServer",
    "RESTServer",
    "RequestedOutput",
    "V1Endpoints",
    "V2Endpoints",
    "grpc_predict_v2_pb2_grpc",
    "kserve_errors",
    "metrics_handler",
    "pb",
]
