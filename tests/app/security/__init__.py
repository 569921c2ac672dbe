"""The security suite over the product's hand-written routes."""
