"""Every rule in the text of SeaweedFS #8860, one row each, in our words.

A test that shows a rule names it in its docstring as `8860:<id>`. Where
Lockring goes further, `ours` says what it does instead.

Elsewhere: the test that every row has a test (test_rules_8860).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a short name, what it demands, and what Lockring does beyond it."""

    id: str
    text: str
    ours: str = ""


RULES: Final = (
    # The ring.
    Rule("ring-not-modulo", "Keys are placed by a consistent hash ring: CRC-32, 50 virtual nodes per server."),
    Rule("only-removed-keys-move", "When a server is removed, only the keys that it had are placed anew."),
    Rule("successor-takes-over", "They go to the next server on the ring: the backup is the natural takeover node."),
    Rule("ring-balance", "Keys are shared out evenly over the servers."),
    Rule("ring-for-others", "Whoever shares out work that is no lock (folder cleaning) asks the same ring."),
    Rule("ring-agreement", "All nodes must compute the same ring; nodes with another one cannot be mixed in."),
    # What a lock carries.
    Rule("lock-is-backup", "A node knows of each lock whether it serves it or keeps a copy; copies are not served."),
    Rule("lock-table", "Locks can be listed, looked up, promoted, demoted, inserted as copies and removed."),
    Rule("generation-rises", "The generation is a fencing token that rises at each fresh acquisition."),
    Rule("generation-stays", "It stays the same on renewal."),
    Rule("generation-in-reply", "The reply to a lock request carries the generation."),
    Rule("generation-at-client", "The client's lock tells its generation, so that stale holders can be told apart."),
    Rule("transfer-fields", "A lock in a transfer says its generation, its seq and whether it is a copy."),
    Rule("replicate-call", "There is a call by which the primary replicates a lock or an unlock to the backup."),
    # Replication.
    Rule("routed-by-ring", "Lock and unlock are served by the primary that the ring names."),
    Rule(
        "replicate-after-success",
        "A successful lock or unlock is replicated to the backup.",
        "before it is acknowledged: the pair rule",
    ),
    Rule("single-skips", "A single server replicates to nobody and waits for nobody."),
    Rule("replicate-handler", "The backup keeps what is replicated to it as a copy, and drops what is unlocked."),
    Rule("seq-rises", "Every mutation of a lock has the next seq."),
    Rule("stale-seq", "A backup rejects a mutation whose seq is not greater than the one it knows."),
    Rule("unlock-seq", "An unlock carries its seq, and is rejected if it is stale."),
    Rule("order-by-generation", "Replicas are ordered by generation first, then by seq."),
    Rule("backup-raises-generation", "Inserting a copy raises the floor: grants after a promotion are above it."),
    Rule(
        "failure-is-visible",
        "A replication that fails is told.",
        "to the client that waits for it, and stale ones as facts",
    ),
    # Changes of topology.
    Rule("promote", "A node that becomes the primary of a lock it has a copy of serves it."),
    Rule("demote", "A node that becomes the backup of a lock it served keeps it as a copy."),
    Rule("transfer", "A node that becomes neither hands the lock to the new primary."),
    Rule("promote-demote-transfer", "Each of the three is visible when it happens."),
    Rule("demote-after-handoff", "A lock is demoted only after the new primary has accepted it."),
    Rule("failed-transfer-keeps", "If the transfer fails, the lock stays where it is.", "and is sent again"),
    Rule("transfer-keeps-order", "A transferred lock keeps its generation and its seq."),
    Rule("replicate-received", "The receiver of a transferred lock replicates it to its own backup."),
    Rule("replicate-after-promotion", "A promoted lock is replicated to the new backup: the next crash is survived."),
    Rule("stale-transfer", "A transfer that is older than what the receiver knows is rejected."),
    Rule("transfer-window", "Until the lock has moved, the old primary serves renewals with a matching token."),
    Rule("transfer-window-unlock", "And unlocks."),
    Rule("transfer-window-others", "And nobody else: without a matching token a request goes to the new primary."),
    Rule("after-the-window", "Once the transfer is complete, requests are served by the new primary."),
    Rule("redirect-keeps-token", "A renewal that is redirected takes its token along."),
    # The master.
    Rule("master-owns-ring", "Only the master changes the membership; nodes do not react to each other's comings."),
    Rule("batching", "Rapid changes are batched by a delay of one second, which each change starts anew."),
    Rule("one-update", "A drop and a join within it are a single ring update."),
    Rule("latest-state", "A change that comes as the delay ends is in this update or the next; it is never lost."),
    Rule("nothing-pending", "When nothing is pending, nothing is published: no update is sent twice."),
    Rule("snapshot", "An update is the complete ring; members that are gone do not linger."),
    Rule("snapshot-is-atomic", "Version and members change together: nobody sees one without the other."),
    Rule("convergence", "All nodes end at the same ring, without steps in between."),
    Rule("stale-update", "An update with a lower version is rejected."),
    Rule("version-zero", "Version 0 is the bootstrap.", "accepted by nobody: no node serves on it"),
    Rule("wall-clock-version", "Versions are wall-clock nanoseconds: a restarted master's are greater."),
    Rule("view-on-reconnect", "A node that connects, or connects again, is told the current ring."),
    # Owners and tables.
    Rule("expired-is-missing", "An expired owner counts as missing."),
    Rule("select-is-a-write", "Choosing the locks to move and removing them never races with requests."),
    # The scenarios.
    Rule("primary-crash", "Primary crash: the backup is promoted and has the valid token."),
    Rule("backup-crash", "Backup crash: the primary continues."),
    Rule("both-crash", "Both crash: the lock is lost and can be acquired again.", "or its holder comes back by token"),
    Rule("rolling-restart", "Rolling restart over all nodes: more than none of the locks survive.", "all survive"),
    Rule(
        "replication-failure",
        "Replication failure: the primary works independently.",
        "it waits for the backup or a view without it, then fails clearly; never silently weaker",
    ),
    Rule("unlock-replicates", "Unlock replicates the deletion to the backup."),
    Rule("added-node", "A lock survives an added server."),
    Rule("least-disruption", "Only a removed server's keys move."),
    Rule("stale-replication", "Stale replication is rejected."),
    Rule("drop-and-join", "Drop and join: 14 of 100 locks of surviving nodes are disrupted.", "0 of 100"),
)
