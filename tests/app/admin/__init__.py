"""The pages at `/admin` over the entities of the product."""
