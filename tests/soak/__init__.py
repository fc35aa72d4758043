"""The same faults as in the tests, in numbers that take hours. See README.md."""
