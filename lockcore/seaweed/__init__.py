"""A Lockring node as a member of a SeaweedFS lock ring: `manage.py node --join-seaweedfs MASTER`.

Elsewhere: the rules (lockcore.core.weedmember, weedlocks), the messages
(lockcore.wire.seaweed_peer), the client's side (lockcore.client).
"""
