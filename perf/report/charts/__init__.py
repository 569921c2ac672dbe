"""The pictures of a run as SVG: `drawing` draws, the other modules say what."""
