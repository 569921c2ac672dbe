"""The ground floor: settings, database, errors, security and time. Knows neither entities nor CRUD."""
