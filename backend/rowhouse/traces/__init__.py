"""Records the work of a traced request as OpenTelemetry spans: the wait for a thread, statements, the commit."""
