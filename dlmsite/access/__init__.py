"""Who may come in: one-time login links, passwords, and the roles viewer and operator."""
