"""Addresses without what they keep secret: for messages, logs and records."""

from urllib.parse import urlsplit


def public(address: str) -> str:
    """An address without user, password, query and fragment, where tokens stand; a path as it is.

    Examples
    --------
    >>> public("https://user:secret@host:8443/sets/a.zip?X-Amz-Signature=abc")
    'https://host:8443/sets/a.zip'
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def without_secrets(text: str, address: str) -> str:
    """A text with an address, and each of its secrets, in the form of `public`."""
    if "://" not in address:
        return text
    text = text.replace(address, public(address))
    try:
        parts = urlsplit(address)
    except ValueError:
        return text
    secrets = (parts.netloc.rpartition("@")[0], parts.password, parts.query)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
