"""The kernel's own byte-range locks, against lockcore's table."""
