"""The example suite that ``convergence demo`` copies into an empty folder."""
