"""The bounds and delays of the whole system, each with its reason.

Invariants: every queue, name and message that a stranger can grow has its
bound here, so that one page answers "how large can this get?".
"""

from __future__ import annotations

from typing import Final

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

VNODES: Final = 50
"""Virtual nodes per server; SeaweedFS's figure, so that both rings agree."""

KEY_BYTES_MAX: Final = 4096
OWNER_BYTES_MAX: Final = 1024
TOKEN_BYTES_MAX: Final = 2048
"""A token carries its owner (OWNER_BYTES_MAX) in base64 beside 40 fixed bytes."""
ADDRESS_BYTES_MAX: Final = 255

LEASE_MS_MIN: Final = 100
LEASE_MS_MAX: Final = 60_000
"""Also the grace after a double failure: nobody can hold longer unseen."""

HEARTBEAT_MS: Final = 400
NODE_LEASE_MS: Final = 2_000
"""A node serves this long after it *sent* its last acknowledged heartbeat."""
NODE_LEASE_MARGIN_MS: Final = 500
"""The master waits this much longer: it covers drift between two clocks."""
STABILISATION_MS: Final = 1_000
"""SeaweedFS #8860: a drop and a join within it are one ring update."""
MASTER_STALL_MS: Final = 1_000
"""A master that did not run for so long has no right to judge silence yet."""
CLAIM_DOUBT_MS: Final = 1_000
"""A heartbeat of the old incarnation this long after a claim disproves it."""
VIEW_REPEAT_MS: Final = 500
"""A heartbeat that names an older view than was sent so long ago: sent again."""

PEER_SILENCE_MS: Final = 500
"""A peer that owes an answer for so long is named in heartbeats: more than a slow round trip."""
HEARING_MS: Final = 1_000
"""Whoever was heard, or has heard, within two heartbeats and a round trip is there."""

PEER_RETRY_MS: Final = 250
"""Unacknowledged peer batches are sent again, with a new number, ..."""
PEER_RETRY_MS_MAX: Final = 2_000
"""... after twice the time at each silence: a slow peer must be heard in the end."""
PEER_BATCH_RECORDS_MAX: Final = 256
"""Some ten milliseconds of work at the receiver: no request waits longer for it."""
TOMBSTONE_MARGIN_MS: Final = 10_000
"""Copies count their lease from receipt; so much later can a late one die."""
AWAY_MS_MAX: Final = TOMBSTONE_MARGIN_MS // 2
"""Who was away for no longer knows nothing of sessions that others have forgotten to be released."""

SESSION_MS_MIN: Final = 1_000
SESSION_LINGER_MS: Final = 1_000
"""So long after its lease a session's locks stay, for a successor that can prove to be one (SETLK_MIGRATE)."""
SESSIONS_MAX: Final = 20_000
SESSION_LABEL_BYTES_MAX: Final = 255
SESSION_ID_BYTES_MAX: Final = 128
SESSION_KEYS_MAX: Final = 200_000
"""What one session may hold and wait for at one node."""
CLEAN_KEYS_MAX: Final = 500
"""Of sessions that are gone, so many keys in one step: some twenty milliseconds."""
GIVEN_UP_KEPT: Final = 64
"""Of each session: acquisitions that were given up before they came. A message that is overtaken is not far behind."""
REASON_BYTES_MAX: Final = 500
"""Why an operator took a lock away: for people, in the fact."""
WAITERS_MAX: Final = 1_000
"""Waiters of one key: they travel with each change of it, some 60 bytes each."""
WAITERS_OF_SESSION_MAX: Final = 256
"""Places of one session in the queue of one key: a program that asks without end must leave room for others."""
WAIT_MS_MAX: Final = 86_400_000
ALARM_MS_MAX: Final = 600_000
"""A key that waits for longer is looked at in between: what is long gone leaves no alarm for a day."""
PLACES_MAX: Final = 1_000_000
"""Locks of sessions and places in their queues at one node, some 300 bytes each."""
LOCK_DELAY_MS_MAX: Final = 60_000
ANSWERS_KEPT: Final = 8
"""Of each key, the last answers that a retry may still ask for."""
WATCHES_MAX: Final = 20_000

PARKED_MAX: Final = 2_000
PENDING_MAX: Final = 20_000
FORWARDS_MAX: Final = 20_000
LOCKS_MAX: Final = 1_000_000
RANGE_ROWS_MAX: Final = 10_000
"""Held byte ranges of one key (then ENOLCK). All of them, with the longest names, fit a message of 8 MiB; and a node
that takes them over is busy for a tenth of a second, not for its lease. The table is quick with ten times as many."""
RANGE_WAITERS_MAX: Final = 1_024
"""Waiting range requests of one key (then EBUSY): each change may have to try them all, some milliseconds."""
FILES_MAX: Final = 100_000
"""Keys with byte ranges at one node."""
FILE_ANSWERS_KEPT: Final = 64
FILE_DELTAS_KEPT: Final = 128
"""Changes of one key that a peer may still lack; further behind it is told all."""
FILE_ROWS_PER_BATCH: Final = 20_000
"""Beyond so many rows a batch is full: a megabyte or less, or one key alone."""
LOCK_OWNER_BYTES_MAX: Final = 255
WIPES_MAX: Final = 20_000
"""Unlocks of ranges that a node remembers in a grace."""

REQUEST_TIMEOUT_MS: Final = 5_000
REQUEST_TIMEOUT_MS_MAX: Final = 120_000
MEMBERS_MAX: Final = 256


GENERATION_HEADROOM: Final = NS_PER_S
"""How far above reported floors a new view number is put when the wall clock
is behind them: no node grants so many locks between two heartbeats."""
