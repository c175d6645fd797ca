"""Bytes in, values out: how HTTP/1.1 and what comes before it are read and written. No socket is touched here."""
