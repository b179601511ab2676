"""`python -m execution` is `execution-service`."""

from execution.cli import main

if __name__ == "__main__":
    main()
