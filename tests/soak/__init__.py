"""Hours of faults and sweeps: ``make soak``. Each file here is one of them, with a ``run(workers) -> list[str]`` of what it found."""
