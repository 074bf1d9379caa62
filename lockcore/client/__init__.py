"""The client: take a lock, keep it, and know at once when it is lost.

Asyncio first (`client.LockClient`), with a thin blocking face (`blocking`).

    machine, route, retry, check    pure: the life of a lock, where to ask, when again, what is valid
    link, pool, calls               one stream per node, all streams, one operation until it is answered
    filerlink, filerpool, ringfeed  the same for SeaweedFS: one filer, all filers, the master's ring (words: weedwords)
    live, client                    what users hold
    sessionlease                    pure: until when a session may be relied on
    session, sessionlock, ranges    what users hold through a session; takeover: of another session
    blocking, blockingsession       the same for programs without an event loop (loopthread)
    run, leash, workload            what `manage.py lock` and `manage.py workload` call

Elsewhere: what a node answers (lockcore.core.serving), bytes (lockcore.wire).
"""
