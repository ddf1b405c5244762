"""What looks like a secret or an e-mail address in a text: patterns that Python and RE2 read alike.

Python's `re` goes back over what it has read, so each repeat that something has to follow has a bound: without, one
long text that nearly is a secret would take minutes.
"""

from __future__ import annotations

import re

_WORD = "A-Za-z+/_.!@#$%^&*-"
_DIGIT = "0-9+/_.!@#$%^&*-"
_ANY = "A-Za-z0-9+/_.!@#$%^&*-"


def _both(one: str, other: str) -> str:
    """Return the pattern of eight characters or more, where one of the second kind comes after some of the first."""
    early = (f"[{one}]{{{count}}}[{other}][{_ANY}]{{{7 - count},}}" for count in range(1, 7))
    return "|".join([*early, f"[{one}]{{7,64}}[{other}][{_ANY}]*"])


#: Kind of secret, as a sentence says it -> pattern.
SECRETS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    # With what is between its lines, so that nothing of it stays where it is taken away.
    "a private key": r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY-----"
    r"(?:(?:[A-Za-z0-9+/=\s\\:,]|-[A-Za-z0-9])*-----END [A-Z ]{0,40}PRIVATE KEY-----"
    r"|(?:(?:\s|\\n|\\r){0,4}[A-Za-z0-9+/=]{32,})*)",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abposr]-[A-Za-z0-9-]{10,}",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
    "an OpenAI or Anthropic key": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{0,100}?[A-Za-z0-9]{20}[A-Za-z0-9_-]*",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "a signed token (JWT)": r"\beyJ[A-Za-z0-9_-]{8,300}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "a URL with a password": r"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@\"\\]{1,64}:[^\s/:@\"\\]{3,64}@[A-Za-z0-9.-]+",
    "a password": r"(?i:\b(?:password|passwd|api[_-]?key|secret[_-]?key|access[_-]?token)\\?\"?\s?[:=]\s?\\?[\"']?)"
    f"(?:{_both(_WORD, '0-9')}|{_both(_DIGIT, 'A-Za-z')})",
}
#: Addresses under these names belong to nobody (RFC 2606).
NOBODY = r"(?i:@(?:[a-z0-9-]+\.)*(?:example\.(?:com|org|net)|example|test|invalid|localhost)\b)"
EMAIL = r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.)+[A-Za-z]{2,24}\b"
#: Any secret at all, for one look at many rows.
ANY_SECRET = "|".join(f"(?:{pattern})" for pattern in SECRETS.values())

#: A text with a secret has one of these, or of the names in any letters; they are quickly looked for.
_HINTS = ("AKIA", "ASIA", "PRIVATE KEY-----", "gh", "glpat-", "xox", "AIza", "sk-", "hf_", "k_live_", "eyJ", "://")
_NAMES = ("password", "passwd", "key", "token")

_ANY_SECRET = re.compile(ANY_SECRET)
_EMAIL = re.compile(EMAIL)
_NOBODY = re.compile(NOBODY)


def secret(text: str) -> str | None:
    """Return the kind of the first secret in a text, or None."""
    if not _may_hold_secret(text):
        return None
    return next((kind for kind, pattern in SECRETS.items() if re.search(pattern, text)), None)


def has_email(text: str) -> bool:
    """Return whether a text has the address of somebody."""
    # What stands after the password of a URL looks like one, and is told as a secret.
    return "@" in text and any(not _NOBODY.search(found[0]) for found in _EMAIL.finditer(_without(text, " ")))


def redact(text: str) -> str:
    """Return the text with ``[secret]`` and ``[e-mail]`` in the place of what was found."""
    without = _without(text, "[secret]")
    if "@" not in without:
        return without
    return _EMAIL.sub(lambda found: found[0] if _NOBODY.search(found[0]) else "[e-mail]", without)


def _without(text: str, instead: str) -> str:
    return _ANY_SECRET.sub(instead, text) if _may_hold_secret(text) else text


def _may_hold_secret(text: str) -> bool:
    if any(hint in text for hint in _HINTS):
        return True
    if ":" not in text and "=" not in text:
        return False
    lowered = text.lower()
    return any(name in lowered for name in _NAMES)
