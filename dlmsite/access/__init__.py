"""Who may come in: one-time login links, passwords and API tokens, and the roles viewer and operator."""
