"""`python -m mammo_tf` is `mammo-tf`."""

from mammo_tf import cli

if __name__ == "__main__":
    raise SystemExit(cli.main())
