"""A virtual world for the core.

The same code that serves, under a clock and a network that a test commands.
Ships in the package, so that users can test their own use of locks against
failures.
"""
