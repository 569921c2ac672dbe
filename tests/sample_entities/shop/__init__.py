"""A small shop with a charging network: plain entities, most of them on one line."""
