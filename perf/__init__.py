"""Load tests and benchmarks.

`load` calls every operation of an OpenAPI document, `report` evaluates the samples, and `harness` starts and measures
servers. `app` has the benchmarks of the product. The other modules here are the commands of the documentation, such as
`python -m perf.bench`. Nothing in `backend` imports this package.
"""
