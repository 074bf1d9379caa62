"""asyncio and gRPC around the pure core: node processes, the master, streams.

Nothing is decided here. Inputs go into a core's `step`, its effects are
carried out in their order; what sockets, files and clocks do to that is the
subject of this package.

Elsewhere: decisions (lockcore.core), bytes (lockcore.wire), processes of the
site (dlmsite.operations).
"""
