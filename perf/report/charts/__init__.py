"""The charts of a run as SVG: `drawing` has scales and plots, the other modules one kind of chart each.

We tried pygal instead. It has no marks across an axis (SLO, percentiles, breaking point), its logarithmic axes print
labels over one another, and its text scales with the page. With a theme that follows light and dark mode it is not
shorter.
"""
