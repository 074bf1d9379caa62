"""Faults on real processes: a cluster, its clients, what is done to them, and whether locks survived.

    python -m lockcore.testing.chaos --seconds 60 --seed 1 --nodes 3 --out FOLDER

Elsewhere: the same faults in a virtual world (lockcore.testing.simulate),
the judge (lockcore.testing.history).
"""
