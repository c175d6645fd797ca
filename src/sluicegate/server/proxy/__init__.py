"""The upstream's side: one exchange after another with the services behind."""
