"""The Django project: records what the lock cluster does, shows it live, and lets operators act on it."""
