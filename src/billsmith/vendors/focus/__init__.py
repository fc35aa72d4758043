"""FOCUS, the FinOps Open Cost and Usage Specification. See README.md."""
