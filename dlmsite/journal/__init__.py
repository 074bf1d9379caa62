"""The journal: what happened in the cluster, as rows."""
