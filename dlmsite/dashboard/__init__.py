"""The dashboard: reads the journal and shows it live."""
