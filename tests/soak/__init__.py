"""Hours of faults and sweeps: ``make soak``. Each file is one, with ``run(workers)`` giving what it found."""
