"""Operations: what operators asked for, and the supervisor that does it."""
