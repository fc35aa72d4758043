"""The application: settings, mounting, health. See README.md."""
