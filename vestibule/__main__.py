"""`python -m vestibule`: the command `vestibule`, where no script of that name is on the path."""

from vestibule.cli import main

if __name__ == "__main__":
    main()
