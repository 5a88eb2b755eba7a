"""What a table, a figure or a page says of the protocol behind its numbers."""

PROTOCOLS = {
    "published": "published (numbers as printed in the paper)",
    "paper": "paper (the published protocol with its quirks)",
    "honest": "honest (epochs are chosen apart from the test images)",
}


def provenance(study: str, protocol: str) -> str:
    """The sentence that every table and figure carries; `protocol` is a key of PROTOCOLS."""
    return f"Study: {study}. Protocol: {PROTOCOLS[protocol]}."
