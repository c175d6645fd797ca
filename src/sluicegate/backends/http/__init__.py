"""Calls to other services: webhooks and key sets."""
