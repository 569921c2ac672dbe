"""Hand-written routes: the router, its dependencies, authorization, and the tree that finds a route."""
