"""The gateway over real sockets: a raw client on one side, and on the other an upstream that sees every byte."""
