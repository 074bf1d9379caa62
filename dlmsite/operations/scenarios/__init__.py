"""Things to try: small rehearsals on the cluster that serves, each with what is expected and what was measured."""
