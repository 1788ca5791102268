"""Identity providers from the environment: OpenID Connect, SAML and LDAP. docs/install.md has an example of each."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured


def social_providers(env: environ.Env) -> dict[str, Any]:
    """What allauth is told of an OpenID Connect and a SAML provider; empty without either."""
    providers: dict[str, Any] = {}
    if url := env.str("MEDS3_OIDC_URL", default=""):
        providers["openid_connect"] = {
            "OAUTH_PKCE_ENABLED": True,
            "APPS": [
                {
                    "provider_id": "sso",
                    "name": env.str("MEDS3_OIDC_NAME", default="Single sign-on"),
                    "client_id": _needed(env, "MEDS3_OIDC_CLIENT_ID", "MEDS3_OIDC_URL"),
                    "secret": _needed(env, "MEDS3_OIDC_CLIENT_SECRET", "MEDS3_OIDC_URL"),
                    "settings": {"server_url": url},
                }
            ],
        }
    if entity := env.str("MEDS3_SAML_ENTITY_ID", default=""):
        certificate = Path(_needed(env, "MEDS3_SAML_CERT_FILE", "MEDS3_SAML_ENTITY_ID"))
        providers["saml"] = {
            "APPS": [
                {
                    "provider_id": entity,
                    "client_id": "sso",  # the word in our own URLs: /accounts/saml/sso/metadata/
                    "name": env.str("MEDS3_SAML_NAME", default="Single sign-on"),
                    "settings": {
                        "idp": {
                            "entity_id": entity,
                            "sso_url": _needed(env, "MEDS3_SAML_SSO_URL", "MEDS3_SAML_ENTITY_ID"),
                            "x509cert": certificate.read_text(encoding="ascii"),
                        },
                        "advanced": {
                            "want_assertion_signed": True,
                            "reject_deprecated_algorithm": True,
                            "reject_idp_initiated_sso": True,
                        },
                    },
                }
            ],
        }
    return providers


def provider_origins(env: environ.Env) -> list[str]:
    """Where a sign-in form may lead, for the content policy: browsers check a form's redirects too.

    `MEDS3_SSO_ORIGINS` adds hosts, where a provider asks for the password elsewhere than at its own address.
    """
    urls = [env.str(name, default="") for name in ("MEDS3_OIDC_URL", "MEDS3_SAML_SSO_URL")]
    found = [f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, urls) if parts.netloc]
    return [*found, *env.list("MEDS3_SSO_ORIGINS", default=[])]


def ldap_settings(env: environ.Env) -> dict[str, Any]:
    """What django-auth-ldap is told; empty without `MEDS3_LDAP_URL`.

    E-mail addresses are not taken over: one may stand in another account already. Raises `ImproperlyConfigured` when
    the extra `ldap` is not installed.
    """
    url = env.str("MEDS3_LDAP_URL", default="")
    if not url:
        return {}
    try:
        import ldap
        from django_auth_ldap.config import LDAPSearch
    except ImportError as error:
        raise ImproperlyConfigured("MEDS3_LDAP_URL is set. Install what it needs: pip install '.[ldap]'") from error
    base = _needed(env, "MEDS3_LDAP_SEARCH_BASE", "MEDS3_LDAP_URL")
    options = {ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND, ldap.OPT_NETWORK_TIMEOUT: 10}
    if authority := env.str("MEDS3_LDAP_CA_FILE", default=""):
        options[ldap.OPT_X_TLS_CACERTFILE] = authority
    options[ldap.OPT_X_TLS_NEWCTX] = 0  # last: it makes the options above take effect
    return {
        "AUTH_LDAP_SERVER_URI": url,
        "AUTH_LDAP_START_TLS": url.startswith("ldap://"),
        "AUTH_LDAP_BIND_DN": env.str("MEDS3_LDAP_BIND_DN", default=""),
        "AUTH_LDAP_BIND_PASSWORD": env.str("MEDS3_LDAP_BIND_PASSWORD", default=""),
        "AUTH_LDAP_USER_SEARCH": LDAPSearch(
            base, ldap.SCOPE_SUBTREE, env.str("MEDS3_LDAP_FILTER", default="(uid=%(user)s)")
        ),
        "AUTH_LDAP_USER_ATTR_MAP": {"name": env.str("MEDS3_LDAP_NAME_ATTRIBUTE", default="cn")},
        "AUTH_LDAP_CONNECTION_OPTIONS": options,
    }


def _needed(env: environ.Env, name: str, because: str) -> str:
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{because} is set, so {name} is needed too.")
    return value
