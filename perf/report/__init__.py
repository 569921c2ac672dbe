"""Turn the samples of a load run into figures, verdicts and a report: `python -m perf.report run.json`."""
