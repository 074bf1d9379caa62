"""The figures that Lockring is held to, measured: `make bench`, or `make bench ONLY=failover,join`.

Real processes over real gRPC on loopback and free ports, real Chromium.

    failover, join, throughput    a cluster without a site: its master here, each node a process (cluster)
    idle, push                    `manage.py up` (site), watched from outside
    recorder                      `manage.py bench_recorder`
    audit, moments                a long history (history, bulk), made once (filled, fill) and asked (ask, questions)
    page                          the page with a canned cluster of 64 nodes (canned, browser)

Invariants
  B1  A figure is printed beside its target and the load of the machine when it began.
  B2  Each is bounded in time, and ends all that it started, by pid.
  B3  What could not be measured is said, and is not a figure.
Elsewhere: what was measured, and how to read it (docs/bench.md).
"""
