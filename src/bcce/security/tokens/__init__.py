"""API tokens."""

from bcce.security.tokens.service import IssuedToken, TokenInfo, TokenService

__all__ = ["IssuedToken", "TokenInfo", "TokenService"]
