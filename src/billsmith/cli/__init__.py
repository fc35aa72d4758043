"""The command line: one file a command. See README.md."""

from billsmith.cli.app import main as main
