"""The whole story on a private throw-away server."""
