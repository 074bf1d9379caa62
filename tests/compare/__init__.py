"""The same faults for a real SeaweedFS and for Lockring, through SeaweedFS's protocol, side by side (`make compare`).

    side, weedside, ringside    a running cluster of either kind, and what can be done to it
    faults                      the drivers: written once, for any side
    toll                        what a fault has cost, and the table

Elsewhere: what came of it (docs/compare.md), Lockring's own figures (tests.bench), random faults (`make chaos`).
"""
