"""gRPC calls with bytes of one's own choice, and what comes back as (status, text or bytes).

Elsewhere: what is tried with them (test_bad_input.py), well-behaved programs (lockcore.client).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc

from lockcore.service.channels import Gate
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.wire.codec import decode_server_batch
from lockcore.wire.gen import filer_pb2, lockring_pb2
from lockcore.wire.methods import CONVERSE, SEAWEED_FILER, path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.messages import Result
    from tests.acceptance.running import Running

PATIENCE_S = 20.0
DISTRIBUTED_LOCK = path(SEAWEED_FILER, "DistributedLock")
DISTRIBUTED_UNLOCK = path(SEAWEED_FILER, "DistributedUnlock")
FIND_LOCK_OWNER = path(SEAWEED_FILER, "FindLockOwner")
TRANSFER_LOCKS = path(SEAWEED_FILER, "TransferLocks")
REPLICATE_LOCK = path(SEAWEED_FILER, "ReplicateLock")

Proof = tuple[tuple[str, str], ...]
Answer = tuple[str, Any]


def proof_of(cluster: Running) -> Proof:
    """Return the metadata that members of the cluster send."""
    return Gate(load_or_create_secret(cluster.data / FILE_NAME)).metadata


def lock_request(**fields: Any) -> bytes:
    """SeaweedFS's LockRequest."""
    return filer_pb2.LockRequest(**fields).SerializeToString()


def lock_op(**fields: Any) -> bytes:
    """A native batch with one LockOp."""
    operation = lockring_pb2.ClientOp(id=1, lock=lockring_pb2.LockOp(**fields))
    return lockring_pb2.ClientBatch(ops=[operation]).SerializeToString()


def unlock_op(**fields: Any) -> bytes:
    """A native batch with one UnlockOp."""
    operation = lockring_pb2.ClientOp(id=1, unlock=lockring_pb2.UnlockOp(**fields))
    return lockring_pb2.ClientBatch(ops=[operation]).SerializeToString()


class RawCalls:
    """One connection to one gRPC port."""

    def __init__(self, target: str, proof: Proof = ()) -> None:
        self._channel = grpc.insecure_channel(target)
        self._proof = proof

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def unary(self, method: str, data: bytes) -> Answer:
        """Call once."""
        opener: Any = self._channel.unary_unary
        try:
            return "OK", opener(method)(data, timeout=PATIENCE_S, metadata=self._proof)
        except grpc.RpcError as error:
            return _told(error)

    def stream(self, method: str, *messages: bytes) -> Answer:
        """Send messages, say that this was all, return everything that came."""
        opener: Any = self._channel.stream_stream
        try:
            return "OK", list(opener(method)(iter(messages), timeout=PATIENCE_S, metadata=self._proof))
        except grpc.RpcError as error:
            return _told(error)

    @contextmanager
    def hold(self, method: str, first: bytes) -> Iterator[Iterator[bytes]]:
        """Send a message and keep the stream open; yield what comes, until it ends."""
        over = threading.Event()

        def said() -> Iterator[bytes]:
            yield first
            over.wait(PATIENCE_S)

        opener: Any = self._channel.stream_stream
        call = opener(method)(said(), timeout=PATIENCE_S, metadata=self._proof)
        try:
            yield call
        finally:
            over.set()
            call.cancel()

    def converse(self, data: bytes) -> Result:
        """Return the one result of a native batch with one operation."""
        status, parts = self.stream(CONVERSE, data)
        assert status == "OK", parts
        results = [result for part in parts for _, result in decode_server_batch(part).results]
        assert len(results) == 1, results
        return results[0]

    def seaweed_lock(self, **fields: Any) -> filer_pb2.LockResponse:
        """Lock or renew as SeaweedFS's clients do."""
        status, data = self.unary(DISTRIBUTED_LOCK, lock_request(**fields))
        assert status == "OK", data
        return filer_pb2.LockResponse.FromString(data)


def _told(error: Any) -> Answer:
    return error.code().name, error.details() or ""
