"""Routes that are written by hand: who may use them, and how they read a request and answer it."""
