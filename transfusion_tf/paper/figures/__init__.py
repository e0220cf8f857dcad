"""One file a figure: `plot(...)` takes results and returns a Figure."""
