"""A second implementation of the protocol in PROTOCOL.md, written from that text alone."""
