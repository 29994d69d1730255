"""The measurements: jobs that answer a question with figures, and their parts. `README.md` has the results."""
