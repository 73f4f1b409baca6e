"""`python -m pipelines` is `valle`, for machines where the program is not on the path."""

import sys

from pipelines.cli import main

if __name__ == "__main__":
    sys.exit(main())
