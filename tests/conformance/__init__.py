"""What RFC 9110 and RFC 9112 ask of servers, gateways, senders and recipients: a requirement, a test."""
