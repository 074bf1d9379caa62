"""The pure lock engine: no asyncio, grpc, clocks, randomness or logging.

Time and messages come in through `step`, ordered effects go out. Everything
here can therefore be driven by the simulator with the same code that serves
real clients.

Elsewhere: bytes (lockcore.wire), sockets and processes (lockcore.service).
"""
