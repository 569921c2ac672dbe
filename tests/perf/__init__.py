"""What the load test makes of an OpenAPI document. Locust itself is not imported: it would patch this process's threads."""
