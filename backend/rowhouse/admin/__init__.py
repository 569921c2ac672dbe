"""The administration pages at `/admin`: every registered entity, by the same rules as the API.

Each page calls the application's own API in process, as the account that is signed in. So every policy, rule, error,
history entry and idempotency key of the API holds. This package builds no SQL and opens no database. It needs the extra
`admin` (Jinja2), and is imported at the first request to `/admin`.
"""
