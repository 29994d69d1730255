"""`python -m pipelines.papers`."""

from pipelines.papers import main

if __name__ == "__main__":
    main()
