"""`python -m ossvol`: the `ossvol` command."""

from ossvol.cli import main

if __name__ == "__main__":
    main()
