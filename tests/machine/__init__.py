"""A state machine that does to the API whatever a client may, beside a model of the contract in plain lists and dicts."""
