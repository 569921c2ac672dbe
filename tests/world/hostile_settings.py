"""Settings of roles, databases and environments that change what PostgreSQL returns.

None of them may change a response.
"""

# For ALTER ROLE … SET and ALTER DATABASE … SET.
STORED = {
    "timezone": "'America/New_York'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'sql_standard'",
    "extra_float_digits": "0",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "bytea_output": "'escape'",
    "default_transaction_isolation": "'serializable'",
    "search_path": "public, pg_catalog",
}
STORED_OTHERWISE = {**STORED, "timezone": "'Asia/Kolkata'", "datestyle": "'German'", "intervalstyle": "'iso_8601'"}
# In the environment of the server.
ENVIRONMENT = {
    "PGTZ": "Australia/Lord_Howe",
    "PGDATESTYLE": "Postgres, DMY",
    "PGOPTIONS": "-c IntervalStyle=postgres_verbose -c extra_float_digits=-5",
}
