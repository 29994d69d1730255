"""What measures: the jobs that answer a question with figures, and their parts. `README.md` has what they found."""
