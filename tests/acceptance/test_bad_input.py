"""What programs may send to the gRPC ports of a real cluster, and the clear answer that each of it gets.

After every test, a lock that was held all the time still is, with the same generation.

Elsewhere: bad visitors of the page (test_bad_visitors.py), bad places to start in (test_processes.py), a full disk
(test_full_disk.py), any bytes at all in the codecs (tests/lockcore/wire).
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

import lockcore
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.limits import KEY_BYTES_MAX, LEASE_MS_MAX, OWNER_BYTES_MAX
from lockcore.core.messages import Code, Granted, Refused, Register, RegisterRefused, Released, ViewUpdate
from lockcore.core.view import MemberId
from lockcore.wire.gen import filer_pb2, lockring_pb2
from lockcore.wire.master_codec import decode_master_message, decode_report_ack, encode_events, encode_node_message
from lockcore.wire.methods import ATTEND, CONVERSE, KEEP_CONNECTED, LINK, OVERVIEW, REPORT, STATUS, WATCH
from tests.acceptance.rawcalls import (
    DISTRIBUTED_LOCK,
    DISTRIBUTED_UNLOCK,
    FIND_LOCK_OWNER,
    REPLICATE_LOCK,
    TRANSFER_LOCKS,
    RawCalls,
    lock_op,
    lock_request,
    proof_of,
    unlock_op,
)
from tests.acceptance.running import ROOT, Running, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.client.blocking import Lock

pytestmark = pytest.mark.acceptance

UNARY = (DISTRIBUTED_LOCK, DISTRIBUTED_UNLOCK, FIND_LOCK_OWNER, TRANSFER_LOCKS, REPLICATE_LOCK, STATUS)
FAULTS = {"UNKNOWN", "INTERNAL", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"}
"""What a handler that raised, died or hung looks like."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("bad-input") / "data", "--no-workload") as running:
        yield running


@pytest.fixture(scope="module")
def holder(cluster: Running) -> Iterator[Lock]:
    """A lock that somebody honest holds all the time."""
    with lockcore.connect(cluster.target) as client, client.lock("honest", ttl=5.0, owner="ada") as lock:
        yield lock


@pytest.fixture(autouse=True)
def _serves_on(cluster: Running, holder: Lock) -> Iterator[None]:
    generation = holder.generation
    yield
    assert holder.is_locked
    assert holder.generation == generation
    assert cluster.process.poll() is None
    assert "Traceback" not in cluster.logged()


@pytest.fixture
def node(cluster: Running) -> Iterator[RawCalls]:
    with RawCalls(target_of(cluster, 1)) as calls:
        yield calls


def target_of(cluster: Running, index: int) -> str:
    """Return the gRPC address of the master (0) or of a node."""
    return f"127.0.0.1:{cluster.port + 10_000 + index}"


def first_node(cluster: Running) -> dict[str, Any]:
    return dict(next(node for node in cluster.status()["nodes"] if node["label"] == "n1"))


BAD_LOCKS = [
    ({"key": "", "ttl_ms": 5_000}, f"a key has 1 to {KEY_BYTES_MAX} bytes"),
    ({"key": "k" * (KEY_BYTES_MAX + 1), "ttl_ms": 5_000}, f"this one has {KEY_BYTES_MAX + 1}"),
    ({"key": "ü" * KEY_BYTES_MAX, "ttl_ms": 5_000}, f"this one has {2 * KEY_BYTES_MAX}"),
    ({"key": "bad", "ttl_ms": 0}, "a lease lasts 100 to 60000 ms, not 0"),
    ({"key": "bad", "ttl_ms": LEASE_MS_MAX + 1_000}, "a lease lasts 100 to 60000 ms, not 61000"),
    ({"key": "bad", "ttl_ms": 2_000_000_000}, "ask for less and renew"),
    ({"key": "bad", "ttl_ms": 5_000, "owner": "o" * (OWNER_BYTES_MAX + 1)}, "an owner has at most 1024 bytes"),
    ({"key": "bad", "ttl_ms": 5_000, "token": "x" * 5_000}, "this is not a renew token"),
]


@pytest.mark.parametrize(("fields", "words"), BAD_LOCKS)
def test_a_native_request_out_of_bounds_is_told_the_bounds(node: RawCalls, fields: Any, words: str) -> None:
    told = node.converse(lock_op(**fields))
    assert isinstance(told, Refused)
    assert told.code is Code.INVALID
    assert words in told.text


@pytest.mark.parametrize(("fields", "words"), BAD_LOCKS)
def test_a_seaweedfs_request_out_of_bounds_is_told_the_bounds(node: RawCalls, fields: Any, words: str) -> None:
    told = node.seaweed_lock(
        name=fields["key"],
        seconds_to_lock=fields["ttl_ms"] // 1_000,
        owner=fields.get("owner", ""),
        renew_token=fields.get("token", ""),
    )
    assert words in told.error
    assert not told.renew_token


@pytest.mark.parametrize("seconds", [-1, -(2**63), 2**63 - 1])
def test_absurd_seaweedfs_lease_times_are_refused(node: RawCalls, seconds: int) -> None:
    assert "a lease lasts 100 to 60000 ms" in node.seaweed_lock(name="bad", seconds_to_lock=seconds).error


def test_a_key_that_is_not_utf_8_is_told_so_on_both_protocols(node: RawCalls) -> None:
    latin = "sch\xf6n".encode("latin-1")
    requests = {
        DISTRIBUTED_LOCK: lock_request(name="abcde", seconds_to_lock=5),
        DISTRIBUTED_UNLOCK: filer_pb2.UnlockRequest(name="abcde", renew_token="t").SerializeToString(),
        FIND_LOCK_OWNER: filer_pb2.FindLockOwnerRequest(name="abcde").SerializeToString(),
    }
    answers = [node.unary(method, data.replace(b"abcde", latin)) for method, data in requests.items()]
    answers.append(node.stream(CONVERSE, lock_op(key="abcde", ttl_ms=5_000).replace(b"abcde", latin)))
    for status, text in answers:
        assert status == "INVALID_ARGUMENT"
        assert "UTF-8" in text


def test_a_request_cut_short_anywhere_is_a_clear_answer(node: RawCalls) -> None:
    """Some prefixes are whole messages with fields left out; those are answered as such."""
    seaweed = lock_request(name="cut", seconds_to_lock=5, owner="bob", renew_token="lr1.none")
    native = lock_op(key="cut", ttl_ms=5_000, owner="bob", token="lr1.none")
    for size in range(len(seaweed)):
        status, told = node.unary(DISTRIBUTED_LOCK, seaweed[:size])
        assert (status, "whole protobuf messages" in str(told)) in {("OK", False), ("INVALID_ARGUMENT", True)}
    for size in range(1, len(native)):
        status, told = node.stream(CONVERSE, native[:size])
        assert status == "INVALID_ARGUMENT"
        assert "cut short or damaged" in told


def test_noise_never_makes_a_handler_fail(cluster: Running) -> None:
    """With the cluster's proof as well: members may be of another version."""
    noise = random.Random(7)  # noqa: S311 - noise that repeats
    for index, streams in ((1, (CONVERSE, LINK)), (0, (ATTEND, REPORT, KEEP_CONNECTED))):
        for proof in ((), proof_of(cluster)):
            with RawCalls(target_of(cluster, index), proof) as calls:
                for size in (0, 1, 3, 40, 4_000):
                    data = noise.randbytes(size)
                    answers = [(method, calls.stream(method, data)) for method in streams if size or method != CONVERSE]
                    answers += [(method, calls.unary(method, data)) for method in UNARY if index]
                    assert [a for a in answers if a[1][0] in FAULTS] == []


def test_an_unknown_method_is_said_to_be_unknown(node: RawCalls) -> None:
    assert node.unary("/lockring.v1.Locks/Steal", b"")[0] == "UNIMPLEMENTED"


def test_bytes_that_are_no_http2_end_only_their_own_connection(cluster: Running) -> None:
    noise = random.Random(8)  # noqa: S311 - noise that repeats
    for index in range(4):
        for data in (
            noise.randbytes(3_000),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x40\0",
            b"GET / HTTP/1.1\r\n",
        ):
            with socket.create_connection(("127.0.0.1", cluster.port + 10_000 + index), timeout=10) as raw:
                raw.sendall(data)


def test_a_message_beyond_eight_mebibytes_is_refused(node: RawCalls) -> None:
    big = bytes(9 * 1024 * 1024)
    assert node.stream(CONVERSE, big)[0] == "RESOURCE_EXHAUSTED"
    assert node.unary(DISTRIBUTED_LOCK, big)[0] == "RESOURCE_EXHAUSTED"


def test_a_batch_of_too_many_operations_is_told_the_bound(node: RawCalls) -> None:
    operation = lockring_pb2.ClientOp(id=1, find=lockring_pb2.FindOp(key="k"))
    status, text = node.stream(CONVERSE, lockring_pb2.ClientBatch(ops=[operation] * 5_000).SerializeToString())
    assert status == "INVALID_ARGUMENT"
    assert "4096" in text.replace(",", "")


def granted(node: RawCalls, key: str, token: str = "") -> Granted:
    """Acquire or renew."""
    told = node.converse(lock_op(key=key, ttl_ms=20_000, owner="eve", token=token))
    assert isinstance(told, Granted), told
    return told


def refused(node: RawCalls, data: bytes) -> Code:
    """Return why this is refused."""
    told = node.converse(data)
    assert isinstance(told, Refused), told
    assert told.text
    return told.code


def test_the_token_of_another_lock_opens_nothing(node: RawCalls) -> None:
    granted(node, "token/a")
    other = granted(node, "token/b").token
    assert refused(node, lock_op(key="token/a", ttl_ms=5_000, token=other)) is Code.TOKEN_MISMATCH
    assert refused(node, unlock_op(key="token/a", token=other)) is Code.TOKEN_MISMATCH
    assert refused(node, lock_op(key="honest", ttl_ms=5_000, token=other)) is Code.TOKEN_MISMATCH
    assert refused(node, lock_op(key="token/free", ttl_ms=5_000, token=other)) is Code.TOKEN_ON_NEW
    assert refused(node, unlock_op(key="token/free", token=other)) is Code.NOT_FOUND
    assert "token" in node.seaweed_lock(name="token/a", seconds_to_lock=5, renew_token=other).error


def test_a_token_that_was_tampered_with_opens_nothing(node: RawCalls) -> None:
    """But for its last character, half of which is padding."""
    token = granted(node, "tampered").token
    for position in range(len(token) - 1):
        forged = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert refused(node, unlock_op(key="tampered", token=forged)) is Code.TOKEN_MISMATCH
    assert isinstance(node.converse(unlock_op(key="tampered", token=token)), Released)


def test_a_replayed_acquisition_is_held_by_its_first_sender(node: RawCalls) -> None:
    data = lock_op(key="again", ttl_ms=20_000, owner="eve")
    assert isinstance(node.converse(data), Granted)
    assert refused(node, data) is Code.HELD


def test_a_replayed_renewal_opens_nothing_once_a_newer_token_was_shown(node: RawCalls) -> None:
    """The previous token is good as long as nobody has shown the newer one: a reply may have got lost."""
    first = granted(node, "renewed").token
    second = granted(node, "renewed", first).token
    third = granted(node, "renewed", second).token
    assert refused(node, lock_op(key="renewed", ttl_ms=5_000, token=first)) is Code.TOKEN_MISMATCH
    assert isinstance(node.converse(unlock_op(key="renewed", token=third)), Released)


def test_a_replayed_unlock_does_not_release_the_next_holder(node: RawCalls) -> None:
    unlock = unlock_op(key="unlocked", token=granted(node, "unlocked").token)
    assert isinstance(node.converse(unlock), Released)
    assert refused(node, unlock) is Code.NOT_FOUND
    following = granted(node, "unlocked")
    assert refused(node, unlock) is Code.TOKEN_MISMATCH
    assert granted(node, "unlocked", following.token).generation == following.generation


@pytest.mark.parametrize("proof", [(), (("x-lockring-cluster", "00" * 32),)])
def test_a_stranger_cannot_speak_as_a_member(cluster: Running, proof: Any) -> None:
    with RawCalls(target_of(cluster, 1), proof) as node, RawCalls(target_of(cluster, 0), proof) as master:
        answers = [node.unary(TRANSFER_LOCKS, b""), node.unary(REPLICATE_LOCK, b""), node.stream(LINK, b"")]
        answers += [master.stream(ATTEND, b""), master.stream(REPORT, b"")]
    for status, text in answers:
        assert status == "UNAUTHENTICATED"
        assert "both sides need the same cluster.secret" in text


def test_lock_state_of_another_view_or_of_no_member_is_refused(cluster: Running) -> None:
    view = int(cluster.status()["view"])
    stolen: dict[str, Any] = {"name": "honest", "renew_token": "lr1.x", "owner": "eve", "generation": 2**62, "seq": 1}
    with RawCalls(target_of(cluster, 1), proof_of(cluster)) as node:
        for number, words in ((view - 1, "look at the ring again"), (view, "the sender is no member of view")):
            request = filer_pb2.ReplicateLockRequest(
                **stolen,
                view=number,
                sender_address="127.0.0.1:1.2",
                sender_incarnation=1,
                lsn=1,
                remaining_ns=10**9,
                ttl_ms=20_000,
            )
            status, text = node.unary(REPLICATE_LOCK, request.SerializeToString())
            assert status == "FAILED_PRECONDITION"
            assert words in text
        status, text = node.unary(REPLICATE_LOCK, filer_pb2.ReplicateLockRequest(**stolen).SerializeToString())
        assert status == "INVALID_ARGUMENT"
        assert "a lock travels with the time it has left" in text


def test_a_replayed_report_adds_no_rows(cluster: Running) -> None:
    event = NumberedEvent(1, time.time_ns(), Event(EventKind.GRANTED, key="reported/twice", owner="eve"))
    data = encode_events(EventBatch("127.0.0.1:1.2", 1, (event,)))
    with RawCalls(target_of(cluster, 0), proof_of(cluster)) as master:
        for _ in range(3):
            status, acks = master.stream(REPORT, data, data)
            assert status == "OK"
            assert [decode_report_ack(ack) for ack in acks] == [1, 1]
    assert cluster.rows("SELECT count(*) FROM journal_lockevent WHERE key = ?", "reported/twice") == [(1,)]


def test_who_claims_a_living_nodes_address_is_refused_and_the_node_stays(cluster: Running) -> None:
    before = first_node(cluster)
    claim = encode_node_message(Register(MemberId(before["ring_address"], time.time_ns())))
    with RawCalls(target_of(cluster, 0), proof_of(cluster)) as master, master.hold(ATTEND, claim) as heard:
        told = [decode_master_message(data) for data in heard]
    assert isinstance(told[-1], RegisterRefused)
    assert "is in use by a living node" in told[-1].text
    assert "start this node at another address" in told[-1].text
    after = first_node(cluster)
    assert (after["incarnation"], after["state"], after["view"]) == (before["incarnation"], "up", before["view"])


def test_a_replayed_registration_does_not_silence_its_node(cluster: Running) -> None:
    """The master would listen to the new connection only, hear no heartbeat, and mark the node down."""
    before = first_node(cluster)
    replay = encode_node_message(Register(MemberId(before["ring_address"], int(before["incarnation"]))))
    with RawCalls(target_of(cluster, 0), proof_of(cluster)) as master, master.hold(ATTEND, replay) as heard:
        told = [decode_master_message(data) for data in heard]  # ends when the node has registered again
    assert all(isinstance(message, ViewUpdate) for message in told[:1])
    wait_for(lambda: first_node(cluster)["state"] == "up", "the node to be up")
    assert cluster.status()["view"] == before["view"]


def test_a_second_node_at_the_same_address_is_told_to_choose_another(cluster: Running) -> None:
    incumbent = first_node(cluster)
    arguments = ["--address", incumbent["ring_address"], "--master", target_of(cluster, 0), "--data", str(cluster.data)]
    done = run("node", *arguments, "--label", "n1")
    assert done.returncode == 2
    assert "another program uses that port" in done.stderr
    assert "choose another port" in done.stderr
    assert done.stderr.count("\n") == 1
    assert first_node(cluster)["incarnation"] == incumbent["incarnation"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--address", "nonsense"], "nonsense"),
        (["--address", "127.0.0.1:99999.1"], "99999"),
        (["--address", "10.255.255.1:8001.18001"], "cannot listen on 10.255.255.1:18001"),
        (["--address", "127.0.0.1:1.2", "--label", "../evil"], "cannot be part of a file's name"),
        (["--address", "127.0.0.1:1.2", "--data", "/proc/nothing"], "cannot use the cluster's secret"),
    ],
)
def test_a_node_with_bad_arguments_says_which(cluster: Running, arguments: list[str], words: str) -> None:
    data = [] if "--data" in arguments else ["--data", str(cluster.data)]
    done = run("node", *arguments, *data)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_master_on_the_port_is_told_so(cluster: Running, tmp_path: Any) -> None:
    done = run("master", "--port", str(cluster.port), "--data", str(tmp_path / "other"))
    assert done.returncode != 0
    assert f"the master cannot listen on {target_of(cluster, 0)}" in done.stderr
    assert "Traceback" not in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that is to fail."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)


def test_no_token_and_no_secret_is_anywhere(cluster: Running, node: RawCalls) -> None:
    """In no file of the data folder but the secret itself, in no log, and in nothing that observers are told."""
    first = granted(node, "secret")
    second = granted(node, "secret", first.token)
    refused(node, lock_op(key="secret", ttl_ms=5_000, token=first.token[:-1]))
    node.unary(DISTRIBUTED_UNLOCK, filer_pb2.UnlockRequest(name="secret", renew_token=second.token).SerializeToString())
    wait_for(lambda: ("secret", first.generation) in cluster.events("released"), "the release in the history")
    files = {path: path.read_bytes() for path in cluster.data.rglob("*") if path.is_file()}
    secret = files.pop(cluster.data / "cluster.secret").strip()
    said = [b"".join(files.values()), cluster.logged().encode()]
    with RawCalls(target_of(cluster, 0)) as master:
        said += [data for data in (node.unary(STATUS, b"")[1], master.unary(OVERVIEW, b"")[1]) if data]
        with master.hold(WATCH, b"") as heard:
            said.append(next(iter(heard)))
    proof = proof_of(cluster)[0][1].encode()
    for hidden in (
        b"lr1.",
        first.token[4:].encode(),
        second.token[4:].encode(),
        secret,
        bytes.fromhex(secret.decode()),
        proof,
    ):
        assert all(hidden not in text for text in said)
    assert files.keys() >= {cluster.data / "journal.sqlite3"}
    assert (cluster.data / "cluster.secret").stat().st_mode & 0o077 == 0
    assert cluster.data.stat().st_mode & 0o077 == 0
