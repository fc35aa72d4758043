"""What all REST surfaces share. See README.md."""
