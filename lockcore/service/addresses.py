"""Where gRPC listens behind a ring address; see lockcore.wire.addresses."""

from lockcore.wire.addresses import GRPC_PORT_OFFSET, LOOPBACK_HOSTS, grpc_target, host_of

__all__ = ["GRPC_PORT_OFFSET", "LOOPBACK_HOSTS", "grpc_target", "host_of"]
